"""Recipes, one a file: a function whose signature is the configuration of a run."""
