"""Diffusion: paths from data to noise, what a network predicts on them, and the way back."""
