"""--multirate: learn every beta of a range in one run."""

from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.core.schedules import Schedule, delayed, linear
from latentia.losses.divergences import kl
from latentia.losses.likelihoods import Gaussian
from latentia.models.vae import VAE
from latentia.modifiers.divergence import refuse_iwae, refuse_levels, refuse_prior
from latentia.nets.beta_conditioning import BetaEmbedding, BetaScale, add_beta_conditioning
from latentia.training.plan import Plan

BETA_RAMP = delayed(0.0, linear(0.0, 1.0), until=0.5)


@modifier
def multirate(plan: Plan, multirate: str = "0.01:10") -> Plan:
    """Learn every beta of a range in one run (Bae et al. 2023, arXiv 2212.03905).

    The model answers at the recipe's beta unless another is requested. Beside the recipe's own
    schedule, every beta rises over the first half of the run.

    Parameters
    ----------
    multirate : LOW:HIGH
        range of beta that one run learns, such as 0.01:10; the other commands then take --beta
    """
    low, high = parse_beta_range(multirate)
    model = plan.model
    if not isinstance(model, VAE):
        raise Error("--multirate needs a model with a rate (KL); leave it out of this recipe.")
    refuse_iwae(model, "--multirate trades distortion for rate")
    refuse_levels(model, "--multirate")
    refuse_prior(model, "--multirate")
    if model.divergence is not kl:
        raise Error("--multirate and another option both change the rate (KL): leave one out.")
    beta = model.beta(1.0)
    embedding = BetaEmbedding(low, high, min(max(beta, low), high))
    channels = model.latent_shape[0]
    model.decoder = add_beta_conditioning(model.encoder, model.decoder, channels, embedding)
    if isinstance(model.likelihood, Gaussian) and model.likelihood.sigma_rule != "fixed":
        model.likelihood = type(model.likelihood)("learned")
        model.likelihood.by_beta = BetaScale(embedding)
    # at full weight from the start, the large betas would collapse the posterior at every beta
    model.dial, model.beta = embedding, _ramp_schedule(model.beta, beta)
    model.selection_metric = model.selection_metric and "over betas"
    return plan


def _ramp_schedule(beta: Schedule, end: float) -> Schedule:
    """Divide a schedule by its final value, and multiply it by BETA_RAMP."""
    return lambda progress: BETA_RAMP(progress) * (beta(progress) / end if end else 1.0)


def parse_beta_range(text: str) -> tuple[float, float]:
    """Parse LOW:HIGH. Raises: Error if it is not a range of betas."""
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        low = high = 0.0
    if not 0 < low < high < float("inf"):
        raise Error(f"--multirate is {text}; give two betas above 0, the lower first, as 0.01:10.")
    return low, high
