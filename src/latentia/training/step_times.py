"""Seconds of a training's parts, measured on real steps, and the epochs that fit in a time."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from latentia.core.seeding import restore_global_generators
from latentia.training.device import use_threads
from latentia.training.folder import TrainingFolder
from latentia.training.loop import Loop
from latentia.training.plan import Options, Plan
from latentia.training.step import NonFiniteError

WARM_UP_STEPS = 2  # they load libraries and allocate memory
MEASURED_STEPS = 3  # at least
MAX_BLOCKS, MIN_BLOCK = 5, 4  # of measured steps
MAX_PICTURES = 36  # epochs that the loop draws pictures of, at most
# Diagnosis and report: imports, then figures whose time is that of so many validations, of so many
# images each, and of so many pictures of samples (conv_vae and latent_prior on CIFAR-10).
END_SECONDS, END_VALIDATIONS, END_IMAGES, END_PICTURES = 5.0, 12, 500, 5


class StepTimes(NamedTuple):
    """Seconds of the parts of a training.

    start: before the first step. epoch: of its steps, validation and saves. picture: drawn during
    training. end: diagnosis and report.
    """

    start: float
    epoch: float
    picture: float
    end: float

    def estimate_seconds(self, epochs: int) -> float:
        """Estimate the seconds of a training."""
        pictures = min(epochs, MAX_PICTURES) * self.picture
        return self.start + epochs * self.epoch + pictures + self.end

    def count_epochs(self, seconds: float) -> int:
        """Return the largest number of epochs that take no longer; 0 if one does."""
        seconds -= self.start + self.end
        with_pictures = seconds / (self.epoch + self.picture)
        if with_pictures > MAX_PICTURES:
            with_pictures = (seconds - MAX_PICTURES * self.picture) / self.epoch
        return max(0, int(with_pictures))


def measure_step_times(
    plan: Plan, run: TrainingFolder, options: Options, seconds: float
) -> StepTimes:
    """Measure steps for so many seconds, then a validation, a save and a picture.

    The plan and the folder are of no use afterwards: model and random state have changed.
    """
    with use_threads(options.threads), restore_global_generators():
        begin = time.perf_counter()
        loop = Loop(plan, run, options)
        start = time.perf_counter() - begin
        step = _time_steps(loop, seconds)
        validator, picture = loop.validator, 0.0
        validation = _time_second_call(lambda: validator.validate(1, True))
        save = _time_second_call(loop.save_state)
        if validator.render_epochs:
            picture = _time_second_call(lambda: validator.render_progress(1))
    saves = 1 + loop.steps_per_epoch // options.save_every
    epoch = loop.steps_per_epoch * step + validation + saves * save
    images = max(1, len(validator.validation_split))
    validations = END_VALIDATIONS * min(1, END_IMAGES / images) + 1
    end = END_SECONDS + validations * validation + END_PICTURES * picture
    return StepTimes(start, epoch, picture, end)


def _time_steps(loop: Loop, seconds: float) -> float:
    """Return the seconds of a step, by blocks of them, since other work may disturb a few."""
    times, left = [], seconds
    while len(times) < WARM_UP_STEPS + MEASURED_STEPS or left > 0:
        begin = time.perf_counter()
        with suppress(NonFiniteError):  # the training has its answer to it
            loop.train_step(loop.step_context())
            loop.check_steps()  # waits for a GPU
        times.append(time.perf_counter() - begin)
        left -= times[-1] if len(times) > WARM_UP_STEPS else 0
    return compute_typical_mean(times[WARM_UP_STEPS:])


def compute_typical_mean(times: Sequence[float]) -> float:
    """Return the median of the means of blocks of consecutive times.

    A block holds several times, since every second or fourth step may do more work.
    """
    blocks = np.array_split(times, min(MAX_BLOCKS, max(1, len(times) // MIN_BLOCK)))
    return float(np.median([block.mean() for block in blocks]))


def _time_second_call(call: Callable[[], object]) -> float:
    """Return the seconds of a call; the first allocates memory and creates files."""
    for _ in range(2):
        begin = time.perf_counter()
        with suppress(NonFiniteError):
            call()
    return time.perf_counter() - begin
