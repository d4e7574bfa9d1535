"""--iwae: train by the importance-weighted bound instead of the evidence lower bound."""

from typing import Annotated

from annotated_types import Ge

from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.models.iwae import IWAE
from latentia.models.vae import VAE
from latentia.training.plan import Plan


# these change a model that it replaces, or refuse to follow it
@modifier(before=("divergence", "capacity", "free_bits", "supervise", "cond"))
def iwae(plan: Plan, iwae: Annotated[int, Ge(1)] = 5) -> Plan:
    """Train by the importance-weighted bound (Burda et al. 2016, arXiv 1509.00519, equation 8).

    Parameters
    ----------
    iwae : N
        number of samples per image in the importance-weighted bound; 1 gives the VAE
    """
    model = plan.model
    if type(model) not in (VAE, IWAE):
        name = type(model).__name__
        raise Error(f"--iwae needs a VAE with one level of latents; leave it out with this {name}.")
    assert isinstance(model, VAE)
    parts = model.encoder, model.decoder, model.likelihood, model.beta
    plan.model = IWAE(*parts, iwae, model.posterior)
    return plan
