"""--divergence: weight the three parts of the rate (KL) separately, for disentangled latents."""

from typing import Annotated, Literal

from annotated_types import Ge

from latentia.core.distributed import world_size
from latentia.core.errors import Error
from latentia.losses.divergences import Divergence, KLDecomposition, kl
from latentia.models.iwae import IWAE
from latentia.training.plan import Plan

Weight = Annotated[float, Ge(0)]


def divergence(
    plan: Plan,
    divergence: Literal["kl", "tc"] = "tc",
    mi_weight: Weight = 1.0,
    tc_weight: Weight = 6.0,
    dim_weight: Weight = 1.0,
) -> Plan:
    """Replace the rate (KL) by its three parts, each with a weight.

    Each weight is multiplied by the model's beta, and by its schedule.
    Source: Chen et al. 2018, arXiv 1802.04942, equation 4; the estimator, losses/divergences.py.

    Parameters
    ----------
    divergence
        divergence in the loss: kl, the rate; or tc, its three parts with weights (beta-TC-VAE)
    mi_weight : FLOAT
        weight of the mutual information of image and latents, at least 0
    tc_weight : FLOAT
        weight of the total correlation of the latents, at least 0
    dim_weight : FLOAT
        weight of the KL divergence of single latent dimensions from the prior, at least 0
    """
    decomposition = KLDecomposition(mi_weight, tc_weight, dim_weight)
    if divergence == "kl":
        if decomposition != KLDecomposition():
            raise Error(
                "--divergence kl has one weight, --beta; leave --mi-weight, --tc-weight and "
                "--dim-weight out, or give --divergence tc."
            )
        return replace_rate(plan, "--divergence", kl)
    rank_batch_size = (
        min(plan.batch, plan.images.to_metadata()["count"]["train"]) // world_size()
    )  # of this process
    if rank_batch_size < 2:
        raise Error(
            f"--divergence tc compares the latents of a batch, and this one holds {rank_batch_size}; give "
            "--batch 2 or more, and more images."
        )
    return replace_rate(plan, "--divergence", decomposition)


def replace_rate(plan: Plan, flag: str, new_divergence: Divergence) -> Plan:
    """The plan with this divergence.

    Raises: Error if its model has no rate apart, or another flag has already replaced it.
    """
    model = plan.model
    current_divergence = getattr(model, "divergence", None)
    if current_divergence is None:
        raise Error(f"{flag} needs a model with a posterior; this recipe has none: leave it out.")
    if isinstance(model, IWAE) and model.k > 1:
        raise Error(
            f"{flag} stands in the rate's place, and a bound of {model.k} draws has no rate apart; "
            "leave it out, or train with one draw."
        )
    if current_divergence is not kl:
        raise Error(
            f"{flag} and another flag both stand in the rate's place; give one of --divergence, "
            "--capacity and --free-bits."
        )
    model.divergence = new_divergence  # pyright: ignore
    return plan
