"""The evidence lower bound and how many latent dimensions carry information."""

import math
from typing import Any

import torch
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents, Model
from latentia.core.errors import Error
from latentia.core.modes import evaluating
from latentia.core.seeding import generator
from latentia.data import Split

RESAMPLES = 20
ACTIVE = 0.01  # variance of the posterior mean over images; Burda et al. 2016, arXiv 1509.00519


@torch.no_grad()
def elbo(model: Model, split: Split, *, seed: int = 0, size: int | None = None) -> dict[str, Any]:
    """Negative ELBO, distortion and rate in nats per image (beta 1, one seeded draw an image).

    Also mse per pixel, active_units (posterior mean's variance over 0.01), the rate of each
    dimension, and standard errors over images; of active_units by bootstrap. Several processes
    take batches in turn; all get the result.
    """
    if not isinstance(model, HasLatents):
        raise Error(f"{type(model).__name__} has no ELBO: it has no encoder. Evaluate a VAE.")
    if not len(split):
        raise Error(f"The {split.name} split holds no image; name another, or give --data.")
    size = size or split.at_once()

    def of(number: int) -> dict[str, Tensor]:
        batch, moment = split.moment(number, size, seed)
        found = {key: value.double().cpu() for key, value in model.score(batch, moment).items()}
        posterior = model.encode(model.observed(batch, moment))
        rates = posterior.kl_by_dimension().flatten(1).cpu()
        return {**found, "mean": posterior.mean.flatten(1).cpu(), "rates": rates}

    with evaluating(model):
        parts = list(distributed.in_turn(math.ceil(len(split) / size), of))
    values = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    centres, rates = values.pop("mean"), values.pop("rates")
    n = len(values["nelbo"])
    error = {k: (v.std() / n**0.5).item() if n > 1 else None for k, v in values.items()}
    units = [_active(centres[_again(n, seed, k)]) for k in range(RESAMPLES)]
    return {
        "nelbo_nats": values["nelbo"].mean().item(),
        "distortion_nats": values["distortion"].mean().item(),
        "rate_nats": values["rate"].mean().item(),
        "mse": values["mse"].mean().item(),
        "active_units": _active(centres),
        "n": n,
        "split": split.name,
        "standard_error": {
            **{f"{k}_nats": error[k] for k in ("nelbo", "distortion", "rate")},
            "mse": error["mse"],
            "active_units": torch.tensor(units, dtype=torch.float64).std().item(),
        },
        "rate_by_dimension": rates.double().mean(0).tolist(),
    }


def _active(means: Tensor) -> int:
    return int((means.var(0, correction=0) > ACTIVE).sum())


def _again(n: int, seed: int, k: int) -> Tensor:
    return torch.randint(n, (n,), generator=generator(seed, "bootstrap", k))
