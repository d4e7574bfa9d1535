"""What the page is told of a run when it opens: its dimensions, its prior, what is missing."""

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from scipy.stats import norm
from typing_extensions import Doc

from latentia.core.contract import HasTrajectory
from latentia.data import Split
from latentia.explorer.projection import round_values
from latentia.explorer.session import RunSession
from latentia.latents.encoding import name_dims
from latentia.latents.traversal import interval_probabilities, mixture_quantiles
from latentia.runs.sampling import list_classes

MIN_RATE = 0.01  # nats: a dimension of less carries nothing
MAX_SLIDERS, N_BINS, TAIL_SHARE = (
    64,
    40,
    0.001,
)  # at most; of a histogram; the share beyond each of its ends


def describe_run(session: RunSession) -> dict[str, Any]:
    """A run as JSON; dimensions by rate, largest first."""
    image_metadata, autoencoder = session.run.metadata["images"], session.autoencoder
    c, h, w = image_metadata["shape"]
    map_latents = session.map_latents  # a turn of beta may take it away meanwhile
    data_split = session.data_split if map_latents is not None else None
    return {
        "name": session.run.path.name,
        "recipe": session.run.metadata["recipe"].rsplit("/", 1)[-1],
        "source": session.data or image_metadata["source"],
        "shape": [c, h, w],
        "count": len(data_split) if data_split is not None else 0,
        "shown": len(map_latents.mean) if map_latents is not None else 0,
        "split": session.split,
        "state": "reading"
        if session.is_reading
        else "missing"
        if session.missing_reason
        else "ready",
        "missing": session.missing_reason,
        "betas": describe_betas(session),
        "latent": None if autoencoder is None else int(np.prod(autoencoder.latent_shape)),
        "dims": [] if autoencoder is None else describe_dimensions(session),
        "ranged": session.train_latents is not None,
        "columns": {} if data_split is None else list_map_columns(data_split),
        "prior": describe_prior(session),
    }


def list_map_columns(data_split: Split) -> dict[str, list[str] | None]:
    """Those that colour a map, a finite number an image; with the names of their classes."""
    return {
        name: data_split.classes.get(name)
        for name, values in data_split.columns.items()
        if values.ndim == 1 and values.isfinite().all()
    }


def describe_betas(session: RunSession) -> dict[str, float] | None:
    """The range that the model answers for, and where it stands; None: it has learned one."""
    beta_range = session.run.beta_range
    if beta_range is None:
        return None
    return {"low": beta_range[0], "high": beta_range[1], "now": session.model.dial.beta}  # pyright: ignore


def describe_dimensions(session: RunSession) -> list[dict[str, Any]]:
    """The SLIDERS of largest rate: range and histogram of the aggregate posterior, else of N(0, 1).

    The ranges are computed once.
    """
    cached, train_latents = (
        session.cache.get("dims"),
        session.train_latents,
    )  # a turn of beta may take both away
    if cached and cached[0] is train_latents:
        return cached[1]
    dim_names = name_dims(session.autoencoder.latent_shape)
    rates = session.rates if train_latents is None else train_latents.kl_per_dim.tolist()
    order = np.argsort([-rate for rate in rates], kind="stable") if rates else range(len(dim_names))
    sliders = []
    for dim in [int(dim) for dim in order][:MAX_SLIDERS]:
        if train_latents is not None:
            mean, sd = train_latents.mean[:, dim], train_latents.sd[:, dim]
            levels = np.array([TAIL_SHARE, 1 - TAIL_SHARE])
            low, high = mixture_quantiles(mean[:, None], sd[:, None], levels)[0]
            heights = interval_probabilities(
                mean.astype("f8"), sd.astype("f8"), np.linspace(low, high, N_BINS + 1)
            )
        else:
            low, high = norm.ppf([TAIL_SHARE, 1 - TAIL_SHARE])
            heights = np.diff(norm.cdf(np.linspace(low, high, N_BINS + 1)))
        rate = None if rates is None else round(rates[dim], 3)
        is_dead = rate is not None and rate < MIN_RATE
        limits = {"low": round(float(low), 2), "high": round(float(high), 2)}
        bars = round_values(heights / heights.max(), 3)
        sliders.append(
            {
                "dim": dim,
                "name": dim_names[dim],
                "rate": rate,
                "dead": is_dead,
                **limits,
                "bars": bars,
            }
        )
    session.cache["dims"] = train_latents, sliders
    return sliders


def describe_prior(session: RunSession) -> dict[str, Any]:
    """What samples are drawn from: the options of a learned prior, and its condition."""
    model = session.model
    if not isinstance(model, HasTrajectory):
        return {"learned": False}
    column = model.column
    kind = None if column is None else "class" if model.num_classes else "image"
    classes = list_classes(session.run, model)
    summary = {"learned": True, "condition": kind, "column": column, "classes": classes}
    return {**summary, "options": list_sampling_options(model.sampling)}


def list_sampling_options(sampling: Any) -> list[dict[str, Any]]:
    """Of a dataclass, a field each: name, meaning, its value here, its choices or its kind."""
    hints = get_type_hints(type(sampling), include_extras=True)
    entries = []
    for option_field in fields(sampling):
        kind, *annotations = get_args(hints[option_field.name])
        allowed_values = list(get_args(kind)) if get_origin(kind) is Literal else None
        minimum = next(
            (annotation.ge for annotation in annotations if hasattr(annotation, "ge")), None
        )
        description = next(
            (annotation.documentation for annotation in annotations if isinstance(annotation, Doc)),
            "",
        )
        value = getattr(sampling, option_field.name)
        is_integer = kind is int
        option = {
            "name": option_field.name,
            "about": description,
            "value": value,
            "choices": allowed_values,
        }
        entries.append({**option, "low": minimum, "whole": is_integer})
    return entries
