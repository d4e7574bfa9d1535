"""Sweeps over settings of a recipe: design, trials, choice of beta."""
