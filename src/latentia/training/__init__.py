"""Training: plan, loop, state, checkpoints, log."""

from latentia.training.optimizers import Adam
from latentia.training.plan import Plan
from latentia.training.registries import recipe

__all__ = ["Adam", "Plan", "recipe"]
