"""A call with an argument or a result of another type or shape fails in the tests."""

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.schedules import linear
from latentia.diffusion.sampling_options import SamplingOptions
from latentia.losses.likelihoods import Bernoulli
from typecheck import decorate


@decorate
def add(x: Float[Tensor, " b"], y: Float[Tensor, " b"], scale: float = 1.0) -> Float[Tensor, " b"]:
    return torch.cat([x, y]) if scale == 0 else scale * x + y


def test_arguments_and_results_have_their_types_and_one_size_an_axis():
    x = torch.ones(3)
    assert torch.equal(add(x, x, scale=2), 3 * x)  # an int passes for a float
    assert add(torch.ones(2), torch.ones(2)).shape == (2,)  # a size holds for one call
    for words in ((x, torch.ones(2)), (x, x[None]), (x, x.long()), (x, x, "2"), (x, x, 0)):
        with pytest.raises(TypeError, match="violates type hint"):
            add(*words)


def test_functions_methods_and_dataclasses_of_the_package_are_checked():
    for call in (
        lambda: linear("0", 1.0),
        lambda: SamplingOptions(steps="3"),
        lambda: Bernoulli().nll(torch.zeros(2, 1, 4, 4), torch.zeros(3, 1, 4, 4)),
    ):
        with pytest.raises(TypeError, match="violates type hint"):
            call()


def test_a_function_in_a_function_is_checked_whenever_it_is_defined():
    def make(factor):
        @decorate
        def scale(x: int) -> int:
            return factor * x

        return scale

    for factor in (1, 3):
        assert make(factor)(2) == 2 * factor
        with pytest.raises(TypeError, match="violates type hint"):
            make(factor)("2")
