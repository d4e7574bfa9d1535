"""--free-bits: leave a small rate (KL) of each latent dimension out of the loss."""

from typing import Annotated

from annotated_types import Ge

from latentia.core.registries import modifier
from latentia.losses.divergences import FreeBits
from latentia.modifiers.divergence import replace_rate
from latentia.training.plan import Plan


@modifier
def free_bits(plan: Plan, free_bits: Annotated[float, Ge(0)] = 0.1) -> Plan:
    """Leave the rate (KL) of a latent dimension out of the loss where it is below a threshold.

    Source: Kingma et al. 2016, arXiv 1606.04934, with one latent dimension in each group.

    Parameters
    ----------
    free_bits : NATS
        rate (KL) of a latent dimension below which the loss ignores it, in nats, at least 0
    """
    return replace_rate(plan, "--free-bits", FreeBits(free_bits))
