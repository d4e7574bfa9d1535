"""Training: plan, loop, state, checkpoint, log."""
