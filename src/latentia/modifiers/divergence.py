"""--divergence: what stands in the rate's place, so that latents are told apart."""

from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from latentia.core.distributed import size
from latentia.core.errors import Error
from latentia.losses.divergences import Decomposition, Divergence, kl
from latentia.models.iwae import IWAE
from latentia.training.plan import Plan

Weight = Annotated[float, Ge(0)]


def divergence(
    plan: Plan,
    divergence: Annotated[
        Literal["kl", "tc"],
        Doc("divergence in the loss: kl, the rate; or tc, its three weighted parts (beta-TC-VAE)"),
    ] = "tc",
    mi_weight: Annotated[
        Weight, Doc("weight of the mutual information of image and latents, at least 0")
    ] = 1.0,
    tc_weight: Annotated[
        Weight, Doc("weight of the total correlation of the latents, at least 0")
    ] = 6.0,
    dim_weight: Annotated[
        Weight, Doc("weight of each latent dimension's KL divergence from the prior, at least 0")
    ] = 1.0,
) -> Plan:
    """Each weight is multiplied by the model's beta, and by its schedule.

    Source: Chen et al. 2018, arXiv 1802.04942, equation 4; the estimator, losses/divergences.py.
    """
    parts = Decomposition(mi_weight, tc_weight, dim_weight)
    if divergence == "kl":
        if parts != Decomposition():
            raise Error(
                "--divergence kl has one weight, --beta; leave --mi-weight, --tc-weight and "
                "--dim-weight out, or give --divergence tc."
            )
        return in_place_of_rate(plan, "--divergence", kl)
    batch = min(plan.batch, plan.images.spec()["count"]["train"]) // size()  # of this process
    if batch < 2:
        raise Error(
            f"--divergence tc compares the latents of a batch, and this one holds {batch}; give "
            "--batch 2 or more, and more images."
        )
    return in_place_of_rate(plan, "--divergence", parts)


def in_place_of_rate(plan: Plan, flag: str, given: Divergence) -> Plan:
    """The plan with this divergence.

    Raises: Error if its model has no rate apart, or another flag has already replaced it.
    """
    model = plan.model
    found = getattr(model, "divergence", None)
    if found is None:
        raise Error(f"{flag} needs a model with a posterior; this recipe has none: leave it out.")
    if isinstance(model, IWAE) and model.k > 1:
        raise Error(
            f"{flag} stands in the rate's place, and a bound of {model.k} draws has no rate apart; "
            "leave it out, or train with one draw."
        )
    if found is not kl:
        raise Error(
            f"{flag} and another flag both stand in the rate's place; give one of --divergence, "
            "--capacity and --free-bits."
        )
    model.divergence = given  # pyright: ignore
    return plan
