"""Trained networks as methods: windows, sample rates and weights around the modules of `irtools.nets`."""
