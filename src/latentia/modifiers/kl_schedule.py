"""--kl-schedule: raise the weight of the rate (KL) to its final value over the run."""

from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.core.schedules import constant, cyclical, delayed, exponential, linear, staircase
from latentia.training.parameter_types import Fraction
from latentia.training.plan import Plan

ScheduleName = Literal["constant", "linear", "step", "exponential", "cyclical"]


@modifier(before=("iwae", "multirate"))  # which keep or change the schedule
def kl_schedule(
    plan: Plan,
    kl_schedule: ScheduleName = "constant",
    kl_from: Annotated[float, Ge(0)] = 0.0,
    kl_warmup: Fraction = 0.0,
    kl_until: Fraction = 0.5,
    kl_steps: Annotated[int, Ge(1)] = 4,
) -> Plan:
    """Let the weight of the rate (KL) rise to beta over a fraction of the run.

    Times are fractions of the run, so that a warm-up ends whatever the number of images.
    Sources: linear, Bowman et al. 2016, arXiv 1511.06349; cyclical, Fu et al. 2019, 1903.10145.

    Parameters
    ----------
    kl_schedule
        shape of the rise of the weight of the rate (KL) to beta
    kl_from : FLOAT
        weight of the rate (KL) at the start of the run, as a fraction of beta, at least 0
    kl_warmup : FLOAT
        fraction of the run, 0 to 1, during which the weight stays at its start
    kl_until : FLOAT
        fraction of the run, 0 to 1, after which the weight is beta
    kl_steps : N
        number of steps of --kl-schedule step, or of cycles of cyclical, at least 1
    """
    model = plan.model
    if not hasattr(model, "beta"):
        raise Error("--kl-schedule needs a model with a rate (KL); leave it out of this recipe.")
    if kl_warmup >= kl_until:
        raise Error(f"--kl-warmup {kl_warmup:g} is not before --kl-until {kl_until:g}; lower it.")
    beta: float = model.beta(1.0)  # pyright: ignore
    start = kl_from * beta
    schedules = {
        "constant": staircase(start, beta, 1) if kl_warmup else constant(beta),
        "linear": linear(start, beta),
        "step": staircase(start, beta, kl_steps),
        "exponential": exponential(start, beta),
        "cyclical": cyclical(start, beta, kl_steps),
    }
    if kl_schedule == "constant" and kl_warmup:
        kl_until = kl_warmup + 1e-9  # a jump from the start to beta
    model.beta = delayed(kl_warmup, schedules[kl_schedule], kl_until)  # pyright: ignore
    return plan
