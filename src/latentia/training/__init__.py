"""Training: plan, loop, state, checkpoints, log."""
