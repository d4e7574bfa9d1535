"""Recipes, edits, the loop, its state and the run folder."""
