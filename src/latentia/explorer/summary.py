"""Summary of a run for the page: its dimensions, its prior, and which images are missing."""

from collections.abc import Container
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from scipy.stats import norm
from typing_extensions import Doc

from latentia.core.contract import HasTrajectory
from latentia.core.registry import Registry
from latentia.core.text import join_command
from latentia.explorer.projection import round_values
from latentia.explorer.session import RunSession
from latentia.latents.encoding import name_dims
from latentia.latents.traversal import interval_probabilities, mixture_quantiles
from latentia.runs.priors import find_learned_prior
from latentia.runs.sampling import list_classes, name_prior

MIN_RATE = 0.01  # nats; a dimension of lower rate carries no information
MAX_SLIDERS, N_BINS = 64, 40
TRAIN_PRIOR = "train", "latent_prior", "--autoencoder"
TAILS = np.array([0.001, 0.999])  # quantiles at the ends of a slider


def describe_run(session: RunSession, paths: Container[Path] = ()) -> dict[str, Any]:
    """Describe a run as JSON; paths: those of all open runs."""
    spec, autoencoder = session.run.metadata["images"], session.autoencoder
    table = session.map_latents  # read once, since another thread may change beta
    split = session.data_split if table is not None else None
    missing = session.missing_reason
    return {
        "name": session.run.path.name,
        "recipe": session.run.metadata["recipe"].rsplit("/", 1)[-1],
        "source": session.data or spec["source"],
        "shape": list(spec["shape"]),
        "count": 0 if split is None else len(split),
        "shown": 0 if table is None else len(table.mean),
        "split": session.split,
        "state": "reading" if session.is_reading else "missing" if missing else "ready",
        "missing": missing,
        "betas": describe_betas(session),
        "latent": None if autoencoder is None else int(np.prod(autoencoder.latent_shape)),
        "dims": [] if autoencoder is None else describe_dimensions(session),
        "ranged": session.train_latents is not None,
        "columns": {name: each.classes for name, each in session.map_columns.items()},
        "umap": find_spec("umap") is not None,
        "own": session.coordinates is not None,
        "prior": describe_prior(session, paths),
    }


def describe_betas(session: RunSession) -> dict[str, float] | None:
    """Return the range of beta and its present value; None for a run of one beta."""
    if (limits := session.run.beta_range) is None:
        return None
    return {"low": limits[0], "high": limits[1], "now": session.beta or 0.0}


def describe_dimensions(session: RunSession) -> list[dict[str, Any]]:
    """Describe the dimensions of highest rate, at most MAX_SLIDERS: range and histogram of each.

    The distribution is the aggregate posterior, or N(0, 1) while no latents are known.
    """
    cached, table = session.cache.get("dims"), session.train_latents
    if cached and cached[0] is table:
        return cached[1]
    names = name_dims(session.autoencoder.latent_shape)
    rates = session.rates if table is None else table.kl_per_dim
    order = range(len(names)) if table is None else table.dims_by_kl
    if table is None and rates:
        order = sorted(order, key=lambda k: -rates[k])
    sliders = []
    for k in order[:MAX_SLIDERS]:
        if table is not None:
            part = table.select_dims([k])
            low, high = mixture_quantiles(part.mean, part.sd, TAILS)[0]
            edges = np.linspace(low, high, N_BINS + 1)
            mean, sd, _ = (None if x is None else x[:, 0].astype("f8") for x in part)
            heights = interval_probabilities(mean, sd, edges)  # pyright: ignore
        else:
            low, high = norm.ppf(TAILS)
            heights = np.diff(norm.cdf(np.linspace(low, high, N_BINS + 1)))
        rate = None if rates is None else round(float(rates[k]), 3)
        slider = {"dim": k, "name": names[k], "rate": rate}
        slider["dead"] = rate is not None and rate < MIN_RATE
        slider |= {"low": round(float(low), 2), "high": round(float(high), 2)}
        sliders.append({**slider, "bars": round_values(heights / heights.max(), 3)})
    session.cache["dims"] = table, sliders
    return sliders


def describe_prior(session: RunSession, paths: Container[Path] = ()) -> dict[str, Any]:
    """Describe a learned prior: its condition, and the options with which it draws.

    The condition of networks that depend on a label is described too. A run without a prior names
    the prior learned of its latents, if it is open, or the command that opens or trains it.
    """
    model, name = session.model, name_prior(session.autoencoder)
    if condition := session.condition:
        return {
            "learned": False,
            "name": name,
            "advice": "",
            "condition": "class" if condition.num_classes else "number",
            "column": condition.column,
            "classes": list_classes(session.run, model),
            "typical": session.format_label(condition.typical),
        }
    if not isinstance(model, HasTrajectory):
        path, prior = session.run.path, find_learned_prior(session.run)
        words = ("explore", prior.path) if prior else (*TRAIN_PRIOR, path)
        step = join_command(("latentia", *words))
        if prior and prior.path in paths:
            step = f"choose the run {prior.name}"
        advice = f" For samples of a learned prior: {step}"
        return {"learned": False, "name": name, "advice": advice if session.autoencoder else ""}
    return {
        "learned": True,
        "name": name,
        "condition": model.column and ("class" if model.num_classes else "image"),
        "column": model.column,
        "classes": list_classes(session.run, model),
        "options": list_sampling_options(model.sampling),
    }


def list_sampling_options(sampling: Any) -> list[dict[str, Any]]:
    """Describe each field of a dataclass: name, help, value, choices, minimum, integer or not."""
    hints = get_type_hints(type(sampling), include_extras=True)
    options = []
    for name in (field.name for field in fields(sampling)):
        kind, *marks = get_args(hints[name])
        options.append(
            {
                "name": name,
                "about": next((m.documentation for m in marks if isinstance(m, Doc)), ""),
                "value": getattr(sampling, name),
                "choices": next((list(m) for m in marks if isinstance(m, Registry)), None),
                "low": next((m.ge for m in marks if hasattr(m, "ge")), None),
                "whole": kind is int,
            }
        )
    return options
