"""A listening test: one page that works without a network, and the analysis of what its listeners saved.

Clips of every condition (:mod:`irtools.listening.trials`) in an order of each listener's own
(:mod:`irtools.listening.orders`) on one page (:mod:`irtools.listening.page`). Its CSV files are read by
:mod:`irtools.listening.ratings` and summed up by :mod:`irtools.listening.analysis`; :mod:`irtools.listening.published`
says what a published table of means can prove and what it cannot.
"""
