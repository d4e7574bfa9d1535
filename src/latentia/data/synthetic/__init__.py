"""Synthetic images, one file for each source."""
