"""--capacity: hold the rate (KL) to a capacity that grows over the run."""

from typing import Annotated

from annotated_types import Ge, Gt, Le

from latentia.core.registries import modifier
from latentia.core.schedules import delayed, linear
from latentia.losses.divergences import Capacity
from latentia.modifiers.divergence import replace_rate
from latentia.training.plan import Plan


@modifier
def capacity(
    plan: Plan,
    capacity: Annotated[float, Ge(0)] = 25.0,
    capacity_until: Annotated[float, Gt(0), Le(1)] = 1.0,
    capacity_weight: Annotated[float, Gt(0)] = 100.0,
) -> Plan:
    """Hold the rate (KL) to a capacity that grows over the run.

    Source: Burgess et al. 2018, arXiv 1804.03599, equation 8.

    Parameters
    ----------
    capacity : NATS
        target of the rate (KL) at the end of the run, in nats per image, at least 0; the target
        grows from 0
    capacity_until : FLOAT
        fraction of the run after which the target stops growing, more than 0, at most 1
    capacity_weight : FLOAT
        weight of |rate - capacity| in the loss, more than 0; it is multiplied by beta
    """
    schedule = delayed(0.0, linear(0.0, capacity), capacity_until)
    return replace_rate(plan, "--capacity", Capacity(schedule, capacity_weight))
