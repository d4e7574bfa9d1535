"""Measures of a trained model: float32, evaluation mode, a named split."""
