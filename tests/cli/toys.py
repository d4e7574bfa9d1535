"""A toy run in a second."""

TRAIN = ["--latent", "3", "--hidden", "8", "--batch", "8", "--epochs", "1", "--log-every", "2"]
