"""--free-bits: a rate that costs nothing, in each latent dimension."""

from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from latentia.losses.divergences import FreeBits
from latentia.modifiers.divergence import in_place_of_rate
from latentia.training.plan import Plan


def free_bits(
    plan: Plan,
    free_bits: Annotated[
        float,
        Ge(0),
        Doc("rate (KL) of each latent dimension that costs nothing in the loss, nats; at least 0"),
    ] = 0.1,
) -> Plan:
    """Source: Kingma et al. 2016, arXiv 1606.04934; a group is a dimension."""
    return in_place_of_rate(plan, "--free-bits", FreeBits(free_bits))
