"""What the page is told of a run when it opens: its dimensions, its prior, what is missing."""

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from scipy.stats import norm
from typing_extensions import Doc

from latentia.core.contract import HasTrajectory
from latentia.data import Split
from latentia.explorer.projection import rounded
from latentia.explorer.session import Explored
from latentia.latents.encoding import names
from latentia.latents.traversal import masses, quantiles
from latentia.runs.sampling import list_classes

DEAD = 0.01  # nats: a dimension of less carries nothing
SLIDERS, BINS, ENDS = 64, 40, 0.001  # at most; of a histogram; the share beyond each of its ends


def described(run: Explored) -> dict[str, Any]:
    """A run as JSON; dimensions by rate, largest first."""
    spec, coder = run.run.metadata["images"], run.coder
    c, h, w = spec["shape"]
    shown = run.shown  # a turn of beta may take it away meanwhile
    part = run.part if shown is not None else None
    return {
        "name": run.run.path.name,
        "recipe": run.run.metadata["recipe"].rsplit("/", 1)[-1],
        "source": run.data or spec["source"],
        "shape": [c, h, w],
        "count": len(part) if part is not None else 0,
        "shown": len(shown.mean) if shown is not None else 0,
        "split": run.split,
        "state": "reading" if run.reading else "missing" if run.missing else "ready",
        "missing": run.missing,
        "betas": betas(run),
        "latent": None if coder is None else int(np.prod(coder.latent_shape)),
        "dims": [] if coder is None else dimensions(run),
        "ranged": run.trained is not None,
        "columns": {} if part is None else columns(part),
        "prior": prior(run),
    }


def columns(part: Split) -> dict[str, list[str] | None]:
    """Those that colour a map, a finite number an image; with the names of their classes."""
    return {
        name: part.classes.get(name)
        for name, values in part.columns.items()
        if values.ndim == 1 and values.isfinite().all()
    }


def betas(run: Explored) -> dict[str, float] | None:
    """The range that the model answers for, and where it stands; None: it has learned one."""
    learned = run.run.beta_range
    if learned is None:
        return None
    return {"low": learned[0], "high": learned[1], "now": run.model.dial.beta}  # pyright: ignore


def dimensions(run: Explored) -> list[dict[str, Any]]:
    """The SLIDERS of largest rate: range and histogram of the aggregate posterior, else of N(0, 1).

    The ranges are computed once.
    """
    kept, trained = run.maps.get("dims"), run.trained  # a turn of beta may take both away
    if kept and kept[0] is trained:
        return kept[1]
    known = names(run.coder.latent_shape)
    rates = run.rates if trained is None else trained.rates.tolist()
    order = np.argsort([-rate for rate in rates], kind="stable") if rates else range(len(known))
    found = []
    for k in [int(k) for k in order][:SLIDERS]:
        if trained is not None:
            mean, sd = trained.mean[:, k], trained.sd[:, k]
            levels = np.array([ENDS, 1 - ENDS])
            low, high = quantiles(mean[:, None], sd[:, None], levels)[0]
            heights = masses(mean.astype("f8"), sd.astype("f8"), np.linspace(low, high, BINS + 1))
        else:
            low, high = norm.ppf([ENDS, 1 - ENDS])
            heights = np.diff(norm.cdf(np.linspace(low, high, BINS + 1)))
        rate = None if rates is None else round(rates[k], 3)
        dead = rate is not None and rate < DEAD
        ends = {"low": round(float(low), 2), "high": round(float(high), 2)}
        bars = rounded(heights / heights.max(), 3)
        found.append({"dim": k, "name": known[k], "rate": rate, "dead": dead, **ends, "bars": bars})
    run.maps["dims"] = trained, found
    return found


def prior(run: Explored) -> dict[str, Any]:
    """What samples are drawn from: the options of a learned prior, and its condition."""
    model = run.model
    if not isinstance(model, HasTrajectory):
        return {"learned": False}
    column = model.column
    kind = None if column is None else "class" if model.classes else "image"
    classes = list_classes(run.run, model)
    told = {"learned": True, "condition": kind, "column": column, "classes": classes}
    return {**told, "options": options(model.sampling)}


def options(sampling: Any) -> list[dict[str, Any]]:
    """Of a dataclass, a field each: name, meaning, its value here, its choices or its kind."""
    hints = get_type_hints(type(sampling), include_extras=True)
    told = []
    for each in fields(sampling):
        kind, *marks = get_args(hints[each.name])
        choices = list(get_args(kind)) if get_origin(kind) is Literal else None
        low = next((mark.ge for mark in marks if hasattr(mark, "ge")), None)
        about = next((mark.documentation for mark in marks if isinstance(mark, Doc)), "")
        value = getattr(sampling, each.name)
        whole = kind is int
        option = {"name": each.name, "about": about, "value": value, "choices": choices}
        told.append({**option, "low": low, "whole": whole})
    return told
