"""The evidence lower bound and how many latent dimensions carry information."""

import math
from typing import Any

import torch
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents, Model
from latentia.core.errors import Error
from latentia.core.modes import evaluation_mode
from latentia.core.seeding import make_generator
from latentia.data import Split

RESAMPLES = 20
ACTIVE_VARIANCE = (
    0.01  # variance of the posterior mean over images; Burda et al. 2016, arXiv 1509.00519
)


@torch.no_grad()
def elbo(
    model: Model, split: Split, *, seed: int = 0, batch_size: int | None = None
) -> dict[str, Any]:
    """Negative ELBO, distortion and rate in nats per image (beta 1, one seeded draw an image).

    Also mse per pixel, active_units (posterior mean's variance over 0.01), the rate of each
    dimension, and standard errors over images; of active_units by bootstrap. Several processes
    take batches in turn; all get the result.
    """
    if not isinstance(model, HasLatents):
        raise Error(f"{type(model).__name__} has no ELBO: it has no encoder. Evaluate a VAE.")
    if not len(split):
        raise Error(f"The {split.name} split holds no image; name another, or give --data.")
    batch_size = batch_size or split.max_batch_size()

    def score_batch(number: int) -> dict[str, Tensor]:
        batch, context = split.get_with_context(number, batch_size, seed)
        scores = {key: value.double().cpu() for key, value in model.score(batch, context).items()}
        posterior = model.encode(model.observe(batch, context))
        kl_per_dim = posterior.kl_per_dim().flatten(1).cpu()
        return {**scores, "mean": posterior.mean.flatten(1).cpu(), "rates": kl_per_dim}

    with evaluation_mode(model):
        scores_by_batch = list(
            distributed.map_round_robin(math.ceil(len(split) / batch_size), score_batch)
        )
    values = {
        key: torch.cat([batch_scores[key] for batch_scores in scores_by_batch])
        for key in scores_by_batch[0]
    }
    posterior_means, rates = values.pop("mean"), values.pop("rates")
    n = len(values["nelbo"])
    standard_errors = {k: (v.std() / n**0.5).item() if n > 1 else None for k, v in values.items()}
    resampled_units = [
        _count_active_units(posterior_means[_resample_rows(n, seed, k)]) for k in range(RESAMPLES)
    ]
    return {
        "nelbo_nats": values["nelbo"].mean().item(),
        "distortion_nats": values["distortion"].mean().item(),
        "rate_nats": values["rate"].mean().item(),
        "mse": values["mse"].mean().item(),
        "active_units": _count_active_units(posterior_means),
        "n": n,
        "split": split.name,
        "standard_error": {
            **{f"{k}_nats": standard_errors[k] for k in ("nelbo", "distortion", "rate")},
            "mse": standard_errors["mse"],
            "active_units": torch.tensor(resampled_units, dtype=torch.float64).std().item(),
        },
        "rate_by_dimension": rates.double().mean(0).tolist(),
    }


def _count_active_units(means: Tensor) -> int:
    return int((means.var(0, correction=0) > ACTIVE_VARIANCE).sum())


def _resample_rows(n: int, seed: int, k: int) -> Tensor:
    return torch.randint(n, (n,), generator=make_generator(seed, "bootstrap", k))
