"""Samples and reconstructions of a run."""

from latentia.api.run import Run
from latentia.cli.opened_run import draw_picture
from latentia.report.grids import FOLDER

sample = draw_picture(Run.plot_samples, ".png", ".npy", ".npz", FOLDER)
reconstruct = draw_picture(Run.plot_reconstructions, ".png", ".npy")
