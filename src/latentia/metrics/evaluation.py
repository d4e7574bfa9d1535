"""What can be measured of a run, by name; each figure with its n, split, features and error."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents, HasTrajectory, Model
from latentia.core.errors import Error
from latentia.core.modes import evaluating
from latentia.data import Images, Split
from latentia.engine.checkpoint import write_json
from latentia.engine.knobs import nearest
from latentia.engine.run import Run
from latentia.metrics.elbo import elbo
from latentia.metrics.figure import Figure, mean
from latentia.metrics.nll import nll

MOST = 10_000  # images and samples that are compared, unless more are asked for
SIZE = 500  # images a batch


@dataclass
class Evaluation:
    """A run, the images it is measured on, and what several metrics need, computed once.

    features: a name that `embedding` knows; n: images and samples, None for all of the split (at
    most MOST where sets are compared); k: draws of the likelihood's bound.
    """

    run: Run
    images: Images
    part: Split
    features: str = "auto"
    n: int | None = None
    k: int = 5000
    seed: int = 0

    @cached_property
    def model(self) -> Model:
        return self.run.model()

    @cached_property
    def coder(self) -> Any:
        """What encodes: the model, or a learned prior's autoencoder."""
        return self.run.coder()

    @property
    def encodes(self) -> bool:
        return isinstance(self.model, HasLatents | HasTrajectory)


def measure(evaluation: Evaluation, names: Sequence[str]) -> dict[str, Any]:
    """For JSON: what `elbo` returns, if it is asked for, and `metrics`: name -> its figures.

    Raises: Error if a name is unknown, or the model or the images can't be measured so.
    """
    for name in names:
        if name not in METRICS:
            near = nearest(name, METRICS, " did you mean {}?")
            raise Error(f"There is no metric {name};{near} --metrics takes {', '.join(METRICS)}.")
    found: dict[str, Any] = {}
    measured = {}
    for name in names:
        if name == "elbo":
            found |= elbo(evaluation.coder, evaluation.part, seed=evaluation.seed)
        measured[name] = METRICS[name](evaluation, found)
    rows = {name: [figure._asdict() for figure in figures] for name, figures in measured.items()}
    return {**found, "metrics": rows}


def keep(run: Run, result: dict[str, Any]) -> None:
    """In evaluation.json, beside the metrics that were measured before."""
    path = run.path / "evaluation.json"
    try:
        before = json.loads(path.read_text())
        metrics = {**before.get("metrics", {}), **result.get("metrics", {})}
    except (OSError, ValueError, AttributeError, TypeError):  # none yet, or not ours
        before, metrics = {}, result.get("metrics", {})
    write_json(path, {**before, **result, **({"metrics": metrics} if metrics else {})})


def _elbo(e: Evaluation, found: dict[str, Any]) -> list[Figure]:
    units = {"mse": "per pixel", "active_units": f"of {len(found['rate_by_dimension'])}"}
    note = "" if e.coder.facts().get("binarised") is None else "binarised once"
    return [
        Figure(
            name,
            found[name],
            found["standard_error"].get(name),
            found["n"],
            found["split"],
            units.get(name, "nats"),
            note=note,
        )
        for name in ("nelbo_nats", "distortion_nats", "rate_nats", "mse", "active_units")
    ]


def _nll(e: Evaluation, found: dict[str, Any]) -> list[Figure]:
    binary = e.coder.facts().get("binarised") is not None
    note = f"K = {e.k:,}" + (", binarised once" if binary else "")
    values = nll(e.coder, e.part, k=e.k, n=e.n, seed=e.seed)
    return [mean("nll_nats", values, e.part.name, unit="nats", note=note)]


METRICS: dict[str, Callable[[Evaluation, dict[str, Any]], list[Figure]]] = {
    "elbo": _elbo,
    "nll": _nll,
}
