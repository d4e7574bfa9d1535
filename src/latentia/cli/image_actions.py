"""Samples and reconstructions of a run."""

from latentia.api.run import Run
from latentia.cli.opened_run import draw_picture

sample = draw_picture(Run.plot_samples, ".png", ".npy")
reconstruct = draw_picture(Run.plot_reconstructions, ".png", ".npy")
