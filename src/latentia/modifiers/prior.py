"""--prior: learn the prior of a VAE with it, as a mixture of posteriors."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge

from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.registries import modifier
from latentia.data.splits import evenly_spaced_rows
from latentia.losses.divergences import Capacity, kl
from latentia.models.vae import VAE
from latentia.models.vamp_prior import VampPrior
from latentia.modifiers.divergence import refuse_levels
from latentia.training.plan import Plan


@modifier
def prior(
    plan: Plan,
    prior: Literal["normal", "vamp"] = "vamp",
    pseudo_inputs: Annotated[int, Ge(1)] = 200,
) -> Plan:
    """Learn the prior with the VAE (Tomczak & Welling 2018, arXiv 1705.07120).

    The VampPrior is the mean of the posteriors of images that are learned too, the pseudo-inputs,
    which begin as training images. The rate is that of the draw of each image, and no latent
    dimension has its own.

    Parameters
    ----------
    prior
        prior of the latents: normal, N(0, I); or vamp, the mean of the posteriors of pseudo-inputs,
        which are learned (VampPrior)
    pseudo_inputs : N
        number of pseudo-inputs of --prior vamp, at least 1; at most that of the training images
    """
    model, images = plan.model, plan.images
    if prior == "normal":
        return plan
    if not isinstance(model, VAE) or model.starts_fitted:
        raise Error(
            "--prior vamp needs a VAE whose encoder is trained; leave it out of this recipe."
        )
    refuse_levels(model, "--prior vamp")
    if model.posterior != DiagonalGaussian.from_heads:
        raise Error("--prior vamp needs posteriors that are diagonal Gaussians; leave it out.")
    if model.dial or model.condition:
        raise Error(
            "--prior vamp has pseudo-inputs, without the beta of --multirate and the label of "
            "--cond: leave one of them out."
        )
    if model.divergence is not kl and not isinstance(model.divergence, Capacity):
        raise Error(
            "--prior vamp needs the rate (KL), which another option replaces: leave one out."
        )
    rows = evenly_spaced_rows(images.to_metadata()["count"]["train"], pseudo_inputs)
    start = torch.zeros(len(rows), *images.shape)
    if not images.is_recorded:
        start = images.split("train").get_batch(rows).image
    model.posterior = VampPrior(model.encoder, start)
    return plan
