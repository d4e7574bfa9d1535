"""Latent tables, traversals, interpolation, attribution and association with labels."""
