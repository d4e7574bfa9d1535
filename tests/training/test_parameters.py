"""Parameters: names, types and ranges, the same from Python as from the command line."""

from dataclasses import dataclass

import pytest

import latentia
from latentia.core.errors import Error
from latentia.core.parameters import validate_parameters
from latentia.runs.recipes import resolve_parameters

UNKNOWN = "conv_vae has no parameter"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"epochs": "2"}, "--epochs is '2'; it must be a whole number."),
        ({"epochs": 2.5}, "--epochs is 2.5; it must be a whole number."),
        ({"epochs": True}, "--epochs is True; it must be a whole number."),
        ({"epochs": 0}, "--epochs is 0; it must be at least 1."),
        ({"lr": "fast"}, "--lr is 'fast'; it must be a number."),
        ({"lr": float("nan")}, "--lr is nan; it must be a finite number and more than 0."),
        ({"likelihood": "poisson"}, "it must be one of discretized, bernoulli, gaussian, auto."),
        ({"channels": 0}, "--channels is 0; it must be at least 1."),
        ({"size": 1.5}, "--size is 1.5; it must be a whole number or a word or None."),
        (
            {"epocs": 3},
            "conv_vae has no parameter --epocs; did you mean --epochs? Its parameters: data",
        ),
        (
            {"gamma": 3},
            f"{UNKNOWN} --gamma; leave it out, or take a recipe that has it, such as mnist_dcgan, "
            "mnist_gan, vaegan.",
        ),
        ({"zzz": 3}, f"{UNKNOWN} --zzz; its parameters: data"),
    ],
)
def test_what_a_knob_may_not_be(parameters, said):
    with pytest.raises(latentia.Error) as problem:
        resolve_parameters("conv_vae", parameters)
    assert said in str(problem.value)


def test_what_a_knob_may_be():
    given = {"lr": 1, "channels": None, "size": "20x30", "likelihood": "gaussian", "data": [1]}
    assert resolve_parameters("conv_vae", given).items() >= given.items()
    assert resolve_parameters("conv_vae", {})["epochs"] == 30


def test_a_value_of_the_written_class_is_taken_as_it_is():
    """A recipe of a user's own may take a dataclass or a tuple, of which JSON knows nothing."""

    @dataclass
    class Widths:
        first: int = 3

    def mine(data="", widths: Widths = Widths(), pair: tuple[int, int] = (1, 2)):  # noqa: B008
        return None

    validate_parameters("mine", mine, {"widths": Widths(4), "pair": (3, 4)})
    validate_parameters("mine", mine, {"pair": [3, 4]})  # as run.json holds it
    with pytest.raises(Error, match="--widths is 3; it must be"):
        validate_parameters("mine", mine, {"widths": 3})
