"""The settings of a sweep: known beforehand, whoever tries them."""

import numpy as np
import pytest

from latentia.core.errors import Error
from latentia.sweep.design import design_trials, parse_axis


def test_one_range_is_walked_evenly_from_end_to_end():
    found = design_trials([parse_axis("beta=log:0.05:20")], 5)
    values = [float(each["beta"]) for each in found]
    np.testing.assert_allclose(values, np.geomspace(0.05, 20, 5), rtol=1e-3)
    assert [each["lr"] for each in design_trials([parse_axis("lr=1:3")], 3)] == ["1", "2", "3"]


def test_choices_are_combined_each_with_each_and_with_every_place_of_a_range():
    axes = [parse_axis("latent=8,16"), parse_axis("likelihood=bernoulli,gaussian")]
    found = design_trials(axes, 99)
    assert len(found) == len({tuple(each.items()) for each in found}) == 4
    mixed = design_trials([parse_axis("beta=log:0.1:10"), parse_axis("latent=8,16")], 6)
    assert [each["latent"] for each in mixed] == ["8", "16"] * 3
    assert [each["beta"] for each in mixed] == ["0.1", "0.1", "1", "1", "10", "10"]


def test_several_ranges_are_filled_and_the_same_for_every_worker():
    axes = [parse_axis("beta=log:0.01:100"), parse_axis("lr=0:1")]
    found = design_trials(axes, 16)
    assert found == design_trials(axes, 16)
    places = np.array([[np.log10(float(f["beta"])) / 4 + 0.5, float(f["lr"])] for f in found])
    quarters = {tuple(q) for q in np.minimum((places * 4).astype(int), 3)}
    assert len(quarters) >= 12  # of 16, where random points leave six empty
    assert ((places >= -1e-9) & (places <= 1 + 1e-9)).all()


@pytest.mark.parametrize(
    "text", ["b", "b=", "=1,2", "b=log:1", "b=log:0:1", "b=2:1", "b=a:b", "k=1,1", "b=1:inf"]
)
def test_what_is_no_axis_is_an_error_that_shows_one(text):
    with pytest.raises(
        Error, match=f"--over is {text}; give a parameter and its values, such as beta="
    ):
        parse_axis(text)
