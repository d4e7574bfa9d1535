"""--kl-schedule: how the weight of the rate comes to its final value over the run."""

from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.core.schedules import after, constant, cyclical, exponential, linear, step
from latentia.training.parameter_types import Share
from latentia.training.plan import Plan

Shape = Literal["constant", "linear", "step", "exponential", "cyclical"]


def kl_schedule(
    plan: Plan,
    kl_schedule: Annotated[
        Shape, Doc("shape of the rise of the weight of the rate (KL) to beta")
    ] = "constant",
    kl_from: Annotated[
        float, Ge(0), Doc("weight of the rate (KL) at the start of the run, as a fraction of beta")
    ] = 0.0,
    kl_warmup: Annotated[
        Share, Doc("fraction of the run, 0 to 1, during which the weight stays at its start")
    ] = 0.0,
    kl_until: Annotated[
        Share, Doc("fraction of the run, 0 to 1, after which the weight is beta")
    ] = 0.5,
    kl_steps: Annotated[
        int,
        Ge(1),
        Doc("number of steps of the schedule step, or of cycles of cyclical; at least 1"),
    ] = 4,
) -> Plan:
    """Shares of the run, so that a warm-up ends whatever the size of the data (trap 8).

    Sources: linear, Bowman et al. 2016, arXiv 1511.06349; cyclical, Fu et al. 2019, 1903.10145.
    """
    model = plan.model
    if not hasattr(model, "beta"):
        raise Error("--kl-schedule needs a model with a rate; this recipe has none: leave it out.")
    if kl_warmup >= kl_until:
        raise Error(
            f"--kl-warmup {kl_warmup:g} is not before --kl-until {kl_until:g}; lower the first."
        )
    beta: float = model.beta(1.0)  # pyright: ignore
    start = kl_from * beta
    shapes = {
        "constant": step(start, beta, 1) if kl_warmup else constant(beta),
        "linear": linear(start, beta),
        "step": step(start, beta, kl_steps),
        "exponential": exponential(start, beta),
        "cyclical": cyclical(start, beta, kl_steps),
    }
    if kl_schedule == "constant" and kl_warmup:
        kl_until = kl_warmup + 1e-9  # start until there, beta from there
    model.beta = after(kl_warmup, shapes[kl_schedule], kl_until)  # pyright: ignore
    return plan
