"""Images made by code: one file for each data set, and the geometry and optics that they use."""
