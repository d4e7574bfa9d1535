"""Metrics of a trained model, measured on a split in evaluation mode and float32."""
