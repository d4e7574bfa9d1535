"""Epochs that fit in a time, by the measured seconds of a training's parts."""

import pytest
import torch

from latentia.runs.create import create_run
from latentia.training.plan import Options
from latentia.training.step_times import StepTimes, compute_typical_mean, measure_step_times

TIMES = [StepTimes(3, 2, 0.5, 5), StepTimes(0, 0.01, 0, 1), StepTimes(9, 20, 3, 30)]


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("seconds", [1, 6, 10.6, 60, 97.3, 600, 7200])
def test_no_larger_number_of_epochs_fits_in_the_time(times, seconds):
    epochs = times.count_epochs(seconds)
    assert epochs == 0 or times.estimate_seconds(epochs) <= seconds + 1e-9
    assert times.estimate_seconds(epochs + 1) > seconds - 1e-9


@pytest.mark.parametrize("times", TIMES)
def test_more_time_never_gives_fewer_epochs(times):
    counts = [times.count_epochs(seconds) for seconds in range(0, 3000, 7)]
    assert counts == sorted(counts)


@pytest.mark.parametrize("cycle", [[2.0], [1.0, 3.0], [1.0, 1.0, 1.0, 5.0]])
def test_other_work_during_a_few_steps_does_not_change_the_time_of_a_step(cycle):
    times = cycle * (40 // len(cycle))
    assert compute_typical_mean(times) == pytest.approx(2.0)
    times[9:15] = [30.0] * 6
    assert compute_typical_mean(times) == pytest.approx(2.0)


def test_every_one_of_a_few_steps_counts():
    assert compute_typical_mean([1.0, 1.0, 4.0]) == pytest.approx(2.0)


def test_a_measurement_leaves_the_random_state_and_its_folder_takes_the_steps(
    tmp_path, array_file, toys
):
    parameters = {**toys["mnist_mlp_vae"], "data": array_file}
    run, plan = create_run("mnist_mlp_vae", parameters, {}, Options(), tmp_path / "run")
    before = torch.get_rng_state()
    times = measure_step_times(plan, run, run.options, 0.0)
    assert torch.equal(before, torch.get_rng_state())
    assert all(seconds > 0 for seconds in times)
