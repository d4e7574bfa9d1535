"""Grids of images, figures, the report page of a run, and its model card."""
