"""What can be measured of a run, by name; each figure with its n, split, features and error."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from latentia.core.contract import HasTrajectory
from latentia.core.errors import Error
from latentia.metrics.coverage import near
from latentia.metrics.distribution import Estimate, frechet, kernel
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.memorization import copying
from latentia.metrics.nll import nll
from latentia.metrics.result import Figure, finite, mean
from latentia.metrics.sharpness import high_frequency_energy
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import write_json
from latentia.training.launch import by_first_alone
from latentia.training.parameter_types import nearest

WINDOW = 11  # pixels of the structural similarity's window: smaller images have none


def measure(e: Evaluation, names: Sequence[str]) -> dict[str, Any]:
    """For JSON: what `elbo` returns, if it is asked for, and `metrics`: name -> its figures.

    Several processes share what is a mean over images; what compares sets has figures in the first
    process alone.

    Raises: Error if a name is unknown, or the model or the images can't be measured so.
    """
    for name in names:
        if name not in METRICS:
            near_by = nearest(name, METRICS, " did you mean {}?")
            raise Error(
                f"There is no metric {name};{near_by} --metrics takes {', '.join(METRICS)}."
            )

    figures = {}
    for name in names:
        found = METRICS[name](e) if name in SHARED else by_first_alone(partial(METRICS[name], e))
        figures[name] = [figure._asdict() for figure in found or ()]
    return {**(e.elbo if "elbo" in names else {}), "metrics": figures}


def keep(run: RunFolder, result: dict[str, Any]) -> None:
    """In evaluation.json, beside the metrics that were measured before."""
    path = run.path / "evaluation.json"
    try:
        before = dict(json.loads(path.read_text()))
        metrics = {**before.get("metrics", {}), **result.get("metrics", {})}
    except (OSError, ValueError, TypeError):  # none yet, or spoilt
        before, metrics = {}, result.get("metrics", {})
    write_json(path, {**before, **result, **({"metrics": metrics} if metrics else {})})


def _bounds(e: Evaluation) -> list[Figure]:
    found, note = e.elbo, _of(e)
    names = ("nelbo_nats", "distortion_nats", "rate_nats", "mse", "active_units")
    units = {"mse": "per pixel", "active_units": f"of {len(found['rate_by_dimension'])}"}
    errors, about = found["standard_error"], (found["n"], found["split"])
    drawn = "; ".join(filter(None, ("of a draw", note)))  # the image metrics have one of means
    return [
        Figure(k, found[k], errors.get(k), *about, unit=units.get(k, "nats"), note=told)
        for k, told in ((k, drawn if k == "mse" else note) for k in names)
    ]


def _likelihood(e: Evaluation) -> list[Figure]:
    note = "; ".join(filter(None, (f"K = {e.k:,}", _of(e))))
    values = nll(e.coder, e.part, k=e.k, n=e.n, seed=e.seed)
    return [mean("nll_nats", values, e.part.name, unit="nats", note=note)]


def _frechet(e: Evaluation) -> list[Figure]:
    return _compared(e, "fd", lambda real, drawn: frechet(real, drawn, seed=e.seed))


def _kernel(e: Evaluation) -> list[Figure]:
    return _compared(e, "kd", kernel)


def _compared(e: Evaluation, name: str, distance: Callable[..., Estimate]) -> list[Figure]:
    """Of samples, and where there is an encoder of reconstructions, to the split's images."""
    if len(e.real) < 2:
        raise Error(f"{name} needs more than 1 image; {e.part.name} has {len(e.real)}.")
    sets = {"samples": e.drawn, **({"reconstructions": e.again} if e.encodes else {})}
    found = {kind: distance(e.real, features) for kind, features in sets.items()}
    about = {"split": e.part.name, "features": e.embedding.name, "note": e.embedding.note}
    return [
        Figure(f"{name}_{kind}", finite(d.value), finite(d.error), d.n, **about)
        for kind, d in found.items()
    ]


def _overlap(e: Evaluation, k: int = 5) -> list[Figure]:
    """Errors are over the images, or the samples, that are judged, the other set held fixed."""
    if len(e.real) <= k:
        raise Error(f"prdc needs more than {k} images; {e.part.name} has {len(e.real)}.")
    judged = near(e.real, e.drawn, k)._asdict()
    note = "; ".join(filter(None, (f"k = {k}", e.embedding.note)))
    about = {"features": e.embedding.name, "note": note}
    n = len(e.real), len(e.drawn)
    rows = [mean(name, values, e.part.name, **about) for name, values in judged.items()]
    return [row._replace(n=n) for row in rows]


def _image(e: Evaluation) -> list[Figure]:
    """Of reconstructions, an image each, against the originals; sharpness is a ratio of means."""
    parts: dict[str, list] = {}
    for x in e.shown():
        y = e.coder.reconstruct(x)
        mse = (x - y).double().square().flatten(1).mean(1)
        values = {"mse": mse, "psnr_db": -10 * mse.log10()}
        if min(x.shape[2:]) >= WINDOW:
            values["ssim"] = ssim(y, x, data_range=1.0, reduction="none")
        values |= {"fine x": high_frequency_energy(x), "fine y": high_frequency_energy(y)}
        for name, value in values.items():
            parts.setdefault(name, []).append(value.reshape(-1))
    found = {name: torch.cat(values) for name, values in parts.items()}
    fine, drawn = found.pop("fine x"), found.pop("fine y")
    units = {"mse": "per pixel", "psnr_db": "dB"}
    figures = [
        mean(k, v, e.part.name, unit=units.get(k, ""), note="of decoded means")
        for k, v in found.items()
    ]
    ratio = (drawn.mean() / fine.mean()).item()
    slope = (drawn - ratio * fine) / fine.mean()  # the ratio's derivative, image by image
    note = "energy above 0.25 cycles a pixel, over the originals'"
    sharp = mean("sharpness", slope, e.part.name, note=note)
    return [*figures, sharp._replace(value=finite(ratio))]


def _memorisation(e: Evaluation) -> list[Figure]:
    found = copying(*(x.double().numpy() for x in (e.training, e.real, e.drawn)))
    share = found.copies
    n, about = (len(e.real), len(e.drawn)), {"split": e.part.name, "features": e.embedding.name}
    spread = (share * (1 - share) / len(e.drawn)) ** 0.5
    honest = f"{found.expected:.2g} if honest"
    rows = [
        ("nearer_than_held_out", found.nearer, found.nearer_error, "0.5 if honest"),
        ("nearer_p", found.nearer_p, None, "Mann-Whitney, one-sided"),
        ("near_copies", share, spread, honest),
        ("near_copies_p", found.copies_p, None, "exact, one-sided"),
    ]
    return [Figure(name, v, error, n, **about, note=note) for name, v, error, note in rows]


def _disentanglement(e: Evaluation, halves: int = 10) -> list[Figure]:
    """error: the spread over random halves of the images, which is that of the mean of all."""
    from latentia.metrics.disentanglement import FEWEST, disentanglement  # forests: slow to import

    part = e.part
    rows = {name: v.numpy() for name, v in part.columns.items() if v.ndim == 1}
    if len(rows) < 2:
        raise Error(
            f"disentanglement needs two factor columns; {e.images.source.name} has {len(rows)}: "
            "give data with factors, such as sprites."
        )
    if len(part) < 2 * FEWEST:
        raise Error(
            f"disentanglement needs at least {2 * FEWEST} images, for its error of halves; "
            f"{part.name} has {len(part)}."
        )
    with torch.no_grad():
        codes = [
            e.coder.encode(batch.image).mean.flatten(1) for batch in part.batches(part.at_once())
        ]
    means, draw = torch.cat(codes).numpy(), np.random.default_rng(e.seed)
    found, spread = disentanglement(means, rows), []
    for _ in range(halves):
        half = draw.permutation(len(means))[: len(means) // 2]
        spread.append(disentanglement(means[half], {k: v[half] for k, v in rows.items()}))
    return [
        Figure(
            name,
            finite(value),
            finite(float(np.std([each[name] for each in spread], ddof=1))),
            len(means),
            part.name,
            note=f"{len(rows)} factors",
        )
        for name, value in found.items()
    ]


def _of(e: Evaluation) -> str:
    """What a bound is a bound of, where that could be mistaken."""
    binary = "binarised once" if "binarised" in e.coder.facts() else ""
    parent = "of its autoencoder" if isinstance(e.model, HasTrajectory) else ""
    return "; ".join(filter(None, (binary, parent)))


METRICS: dict[str, Callable[[Evaluation], list[Figure]]] = {
    "elbo": _bounds,
    "nll": _likelihood,
    "fd": _frechet,
    "kd": _kernel,
    "prdc": _overlap,
    "image": _image,
    "memorisation": _memorisation,
    "disentanglement": _disentanglement,
}
SHARED = ("elbo", "nll")  # a mean over images, that each process can do a part of
