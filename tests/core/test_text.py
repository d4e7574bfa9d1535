"""One thing is named in the singular, a number ends where its error does, and a name is near."""

import pytest

from latentia.core.text import (
    format_interval,
    format_with_error,
    pluralize,
    split_list,
    suggest_name,
)


def test_one_is_one_and_none_are_many():
    said = [pluralize(n, "image") for n in (0, 1, 2, 1000)]
    assert said == ["0 images", "1 image", "2 images", "1,000 images"]
    assert [pluralize(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0689, 0.099, "0.069 ± 0.099"),
        (0.0099612, 0.00031, "0.00996 ± 0.00031"),
        (0.01, 0.0003, "0.01000 ± 0.00030"),
        (0.0099793, 5.8e-05, "0.009979 ± 0.000058"),
        (105.31, 0.12, "105.31 ± 0.12"),
        (1.25, 0.0996, "1.25 ± 0.10"),
        (60_712.0, 5_934.0, "60,700 ± 5,900"),
        (-0.001, 1.2, "0.0 ± 1.2"),
        (2.0, 0.0, "2"),
        (2.5, None, "2.5"),
        (2.5, float("nan"), "2.5"),
        (12_345.678, None, "12,346"),
    ],
)
def test_a_value_ends_at_the_second_digit_of_its_error(value, error, text):
    assert format_with_error(value, error) == text


def test_half_of_an_interval_is_the_error():
    assert format_interval(0.0689, -0.1264, 0.2641) == "0.07 [-0.13, 0.26]"
    assert format_interval(0.6961, 0.6812, 0.7109) == "0.696 [0.681, 0.711]"
    assert format_interval(1.0, 1.0, 1.0) == "1 [1, 1]"


def test_only_a_similar_name_is_suggested():
    names = ["seed", "latent", "epochs"]
    assert suggest_name("latnet", names, "{}") == "latent"
    assert suggest_name("size", names, "{}") == ""


def test_a_list_is_split_at_commas_that_are_in_no_name():
    names = ["a, b", "a", "c"]
    assert split_list("a, b,c", names) == ["a, b", "c"]
    assert split_list("a,b , c", names) == ["a", "b", "c"]
    assert split_list("x,a, b", names) == ["x", "a, b"]
