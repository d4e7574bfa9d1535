"""Schedules depend on the share of the run that is done, and on nothing else."""

import itertools

import pytest

from latentia.core.schedules import (
    constant,
    cosine,
    cyclical,
    delayed,
    exponential,
    linear,
    staircase,
    triangle,
)

RISING = [linear(0.1, 2.0), exponential(0.1, 2.0), staircase(0.1, 2.0, 5)]


@pytest.mark.parametrize("schedule", RISING)
def test_rising_schedules_start_low_never_fall_and_end_at_their_final_value(schedule):
    values = [schedule(k / 100) for k in range(101)]
    assert values[0] == pytest.approx(0.1)
    assert values[-1] == pytest.approx(2.0)
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(values))
    assert schedule(1.5) == pytest.approx(2.0)


def test_linear_and_exponential_have_the_arithmetic_and_the_geometric_mean_in_the_middle():
    assert linear(1.0, 4.0)(0.5) == pytest.approx(2.5)
    assert exponential(1.0, 4.0)(0.5) == pytest.approx(2.0)


def test_steps_are_flat_between_stairs():
    stairs = staircase(0.0, 1.0, 4)
    assert [round(stairs(k / 10), 2) for k in range(11)] == [
        0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1, 1,
    ]  # fmt: skip


def test_a_cycle_rises_for_its_first_half_and_holds_for_its_second():
    four = cyclical(0.0, 1.0, 4)
    for cycle in range(4):
        assert four(cycle / 4) == pytest.approx(0.0)
        assert four(cycle / 4 + 1 / 16) == pytest.approx(0.5)
        assert four(cycle / 4 + 0.2) == pytest.approx(1.0)
    assert four(1.0) == 1.0


def test_after_holds_the_start_then_plays_the_whole_schedule_then_holds_the_end():
    late = delayed(0.2, linear(0.0, 1.0), until=0.6)
    assert late(0.2) == 0.0
    assert late(0.4) == pytest.approx(0.5)
    assert late(0.6) == 1.0 == late(1.0)


def test_cosine_warms_up_to_one_and_decays_to_its_end():
    factor = cosine(warmup=0.1, end=0.01)
    assert factor(0.0) == 0.0
    assert factor(0.1) == pytest.approx(1.0)
    assert factor(0.55) == pytest.approx(0.505)
    assert factor(1.0) == pytest.approx(0.01)
    assert constant(3.0)(0.7) == 3.0


def test_triangle_rises_and_falls_straight_and_is_a_half_on_average():
    factor = triangle(warmup=0.2)
    assert [factor(share) for share in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx(
        [0.0, 0.5, 1.0, 0.5, 0.0]
    )
    middles = [factor((k + 0.5) / 1000) for k in range(1000)]
    assert sum(middles) / 1000 == pytest.approx(0.5)


def test_a_triangle_falls_as_a_power_of_what_is_left():
    factor = triangle(warmup=0.2, power=0.5)
    assert factor(0.1) == 0.5
    assert factor(0.6) == pytest.approx(0.5**0.5)
    assert factor(1.0) == 0.0
