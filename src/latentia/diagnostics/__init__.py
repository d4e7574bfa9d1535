"""Checks of data, training, latents, adversary, diffusion."""
