"""Models: which losses teach which networks. Composition only."""
