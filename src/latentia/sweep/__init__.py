"""A sweep's design, its trials, choosing beta."""
