"""Samples, reconstructions and completions of a run."""

from latentia.api.run import Run
from latentia.cli.opened_run import draw_picture
from latentia.report.grids import SINGLE_IMAGES

sample = draw_picture(Run.plot_samples, *SINGLE_IMAGES)
reconstruct = draw_picture(Run.plot_reconstructions, ".png", ".npy")
complete = draw_picture(Run.plot_completions, ".png", ".npy")
