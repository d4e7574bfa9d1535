"""Diffusion: paths from data to noise, prediction targets, and samplers."""
