"""Evidence lower bound and number of active latent dimensions."""

import math
from typing import Any

import torch
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents, Model
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.core.modes import evaluation_mode
from latentia.core.posterior import draw_latents
from latentia.core.seeding import make_generator, noise
from latentia.data import Split
from latentia.losses.discretized import DiscretizedLogistic
from latentia.nets.column_condition import use_columns

NATS = ("nelbo", "distortion", "excess", "rate")
RESAMPLES = 20
# variance of the posterior mean over images; Burda et al. 2016, arXiv 1509.00519
ACTIVE_VARIANCE = 0.01


@torch.no_grad()
def elbo(
    model: Model, split: Split, *, seed: int = 0, batch_size: int | None = None
) -> dict[str, Any]:
    """Negative ELBO, distortion and rate (KL) in nats per image, with one seeded draw an image.

    The ELBO is that of beta 1. Several processes share the batches and all return the same result.

    Parameters
    ----------
    model : Model
        a trained model with latents
    split : Split
        images to measure on
    seed : int
        seed of the draws
    batch_size : int, optional
        images encoded at once

    Returns
    -------
    dict
        nelbo_nats, distortion_nats, rate_nats, excess_nats (distortion above that of a perfect
        reconstruction), bits_per_dim (of a discretized likelihood), mse_draws (squared error per
        pixel of decoded draws), active_units (dimensions whose posterior mean has a variance above
        0.01), n, split, standard_error of each over images (by bootstrap for active_units), and
        rate_by_dimension, if the posterior defines it

    Raises
    ------
    Error
        if the model has no encoder, or the split holds no image

    Examples
    --------
    >>> import latentia
    >>> run = latentia.load("runs/digits")
    >>> result = latentia.elbo(run.model, run.split("test"))
    >>> result["n"], len(result["rate_by_dimension"])
    (20, 20)
    """
    if not isinstance(model, HasLatents):
        raise Error(f"{type(model).__name__} has no ELBO: it has no encoder. Evaluate a VAE.")
    if not len(split):
        raise Error(f"The {split.name} split holds no image; name another, or give --data.")
    size = batch_size or split.max_batch_size()

    def score_batch(number: int) -> dict[str, Tensor]:
        batch, context = split.get_with_context(number, size, seed)
        scores = {key: value.double().cpu() for key, value in model.score(batch, context).items()}
        with use_columns(model, batch.columns):
            posterior: Any = model.encode(model.observe(batch, context))
            scores["mean"] = posterior.mean.flatten(1).cpu()
            if hasattr(posterior, "kl_per_dim"):
                eps = noise(context, "score", model.latent_shape, posterior.mean)  # of the score
                scores["rates"] = draw_latents(posterior, eps)[1].kl_per_dim().flatten(1).cpu()
        return scores

    with evaluation_mode(model):
        batches = list(distributed.map_round_robin(math.ceil(len(split) / size), score_batch))
    scores = {key: torch.cat([each[key] for each in batches]) for key in batches[0]}
    means, rates = scores.pop("mean"), scores.pop("rates", None)
    n, values = len(means), {f"{name}_nats": scores[name] for name in NATS if name in scores}
    likelihood = getattr(model, "likelihood", None)
    if isinstance(likelihood, DiscretizedLogistic):  # else a density, without bits of its own
        n_values, mask = math.prod(split.pixels.shape[1:]), split.columns.get(MASK_COLUMN)
        if mask is not None:
            n_values = split.pixels.shape[1] * (mask > 0).flatten(1).sum(1).cpu()
        values["bits_per_dim"] = scores["nelbo"] / n_values / math.log(2)
    if "mse_draws" in scores:
        values["mse_draws"] = scores["mse_draws"]
    rngs = [make_generator(seed, "bootstrap", k) for k in range(RESAMPLES)]
    resamples = [means[torch.randint(n, (n,), generator=rng)] for rng in rngs]
    units_error = torch.tensor([*map(_count_active_units, resamples)]).double().std().item()
    errors = {k: (v.std() / n**0.5).item() if n > 1 else None for k, v in values.items()}
    return {
        **{name: each.mean().item() for name, each in values.items()},
        "active_units": _count_active_units(means),
        "n": n,
        "split": split.name,
        "standard_error": {**errors, "active_units": units_error},
    } | ({} if rates is None else {"rate_by_dimension": rates.double().mean(0).tolist()})


def _count_active_units(means: Tensor) -> int:
    return int((means.var(0, correction=0) > ACTIVE_VARIANCE).sum())
