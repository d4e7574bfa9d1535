"""Training: plan, loop, state, checkpoints, log."""

from latentia.core.registries import recipe
from latentia.training.optimizers import Adam
from latentia.training.plan import Plan

__all__ = ["Adam", "Plan", "recipe"]
