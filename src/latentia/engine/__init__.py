"""Recipes, edits, the loop, its state and the run folder; sees models and data by interface only."""
