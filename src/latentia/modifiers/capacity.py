"""--capacity: the rate is held to a capacity that grows over the run."""

from typing import Annotated

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from latentia.core.schedules import after, linear
from latentia.losses.divergences import Capacity
from latentia.modifiers.divergence import in_place_of_rate
from latentia.training.plan import Plan


def capacity(
    plan: Plan,
    capacity: Annotated[
        float,
        Ge(0),
        Doc(
            "rate (KL) that the model is held to at the end of the run, nats per image; it grows "
            "from 0 over the run"
        ),
    ] = 25.0,
    capacity_until: Annotated[
        float,
        Gt(0),
        Le(1),
        Doc("fraction of the run after which the capacity is reached, more than 0, at most 1"),
    ] = 1.0,
    capacity_weight: Annotated[
        float,
        Gt(0),
        Doc("weight of |rate - capacity| in the loss, multiplied by beta; more than 0"),
    ] = 100.0,
) -> Plan:
    """Source: Burgess et al. 2018, arXiv 1804.03599, equation 8."""
    grows = after(0.0, linear(0.0, capacity), capacity_until)
    return in_place_of_rate(plan, "--capacity", Capacity(grows, capacity_weight))
