"""Train a network: :func:`irtools.training.run.train`."""
