"""report.html: one file that holds all of a run that a person looks at."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import torch
from PIL import Image

from latentia.core.contract import HasLatents, HasTrajectory, Model
from latentia.core.text import counted
from latentia.data import Images, Split
from latentia.latents.interpolation import interpolate
from latentia.metrics.beta_choice import kept
from latentia.metrics.builtin import keep
from latentia.metrics.elbo import elbo
from latentia.metrics.rate_distortion import MOST, betas, curve
from latentia.report.figures import gauge_curves, rate_bars, svg, training_curves
from latentia.report.grids import gif, lay, png
from latentia.report.prior_figures import FRAMES, asked, error_by_time, film
from latentia.report.rate_distortion_figures import curve_figure
from latentia.report.training_images import pictures_of
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import resolve_sampling
from latentia.training.checkpoint import write_whole
from latentia.training.events import Finding, read_rows


class Picture(NamedTuple):
    html: str
    caption: str = ""


class Section(NamedTuple):
    title: str
    text: str
    pictures: list[Picture]


class Figure(NamedTuple):
    name: str
    value: str


def write_report(run: RunFolder, images: Images, findings: Sequence[Finding] = ()) -> Path:
    """Draws everything anew from the weights, the log and the validation images (or the training
    ones, where none were kept), writes evaluation.json and report.html, and returns its path.

    findings: the doctor's, worst first. The model is loaded for it: nothing of a training in
    progress is touched.
    """
    model = run.model()
    held_out = images.split("validation")
    shown = held_out if len(held_out) else images.split("train")
    rows = read_rows(run.path / "log.jsonl")
    logged = [row for row in rows if row["event"] == "logged"]
    validated = [row for row in rows if row["event"] == "validated"]
    figures, sections = [], []
    if isinstance(model, HasTrajectory) and len(shown):
        sections += _prior(run, model, shown)
    elif isinstance(model, HasLatents) and len(shown):
        result = elbo(model, shown)  # pyright: ignore[reportArgumentType]
        keep(run, result)
        figures += _figures(result)
        some = shown.batch(slice(0, 12)).image
        sections += [_reconstructions(run, model, some, shown.name), _samples(run, model)]
        sections.append(_interpolation(run, model, some, shown.name))
        sections.append(
            Section(
                "What each latent dimension carries",
                f"Rate by dimension over {counted(result['n'], 'image')} of the {result['split']} "
                f"split; {result['active_units']} of {len(result['rate_by_dimension'])} are "
                "active.",
                [Picture(rate_bars(result["rate_by_dimension"]))],
            )
        )
    else:
        sections.append(_samples(run, model))
    if run.beta_range and isinstance(model, HasLatents) and len(shown):
        sections.append(_betas(run, model, shown))
    sections += _progress(run)
    if logged:
        text = "Means between two log rows."
        if validated:
            text += " Validation: held-out images, one posterior draw each"
            text += ", always at beta 1." if "nelbo" in validated[0]["values"] else "."
        text += " Values far above the rest, at the start of the run, are outside the frame."
        curves = [
            Picture(training_curves(logged, validated, p), f"player: {p}")
            for p in logged[-1]["players"]
        ]
        if logged[-1]["gauges"]:
            curves.append(Picture(gauge_curves(logged), "what the model shows of itself"))
        sections.append(Section("Training", text, curves))
    figures.append(Figure("parameters", f"{sum(run.metadata['parameters'].values()):,}"))
    path = run.path / "report.html"
    write_whole(path, _render(run, figures, findings, sections).encode())
    return path


def _render(
    run: RunFolder, figures: list[Figure], findings: Sequence[Finding], sections: list[Section]
) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string((Path(__file__).parent / "page.html").read_text())
    about = run.metadata
    groups = {**about["arguments"], **about["modifiers"], **about["options"]}
    settings = [(name.replace("_", "-"), _text(value)) for name, value in groups.items()]
    settings += [(f"images: {k}", _text(v)) for k, v in about["images"].items()]
    settings += [(f"machine: {k}", _text(v)) for k, v in about["machine"].items()]
    return template.render(
        run=run,
        summary=f"{about['recipe']} on {about['images']['source']}",
        figures=figures,
        findings=findings,
        sections=sections,
        settings=settings,
        source=about["source"],
        version=about["machine"]["latentia"],
    )


def _figures(result: dict[str, Any]) -> list[Figure]:
    error = result["standard_error"]["nelbo_nats"]
    spread = f" ± {error:.1f}" if error else ""
    return [
        Figure(f"nats: negative ELBO, {result['split']}", f"{result['nelbo_nats']:.1f}{spread}"),
        Figure("nats of distortion", f"{result['distortion_nats']:.1f}"),
        Figure("nats of rate", f"{result['rate_nats']:.1f}"),
        Figure(
            "active latent dimensions",
            f"{result['active_units']} of {len(result['rate_by_dimension'])}",
        ),
    ]


def _picture(images: torch.Tensor, columns: int, alt: str, caption: str) -> Picture:
    return Picture(_embedded(png(lay(images, columns, ""), caption), alt), caption)


def _reconstructions(run: RunFolder, model: Any, some: torch.Tensor, split: str) -> Section:
    pairs = torch.cat([some, model.reconstruct(some)])
    caption = (
        f"{run.name}: the first {counted(len(some), 'image')} of the {split} split; decoded means"
    )
    return Section(
        "Originals above reconstructions",
        "",
        [_picture(pairs, len(some), "originals above their reconstructions", caption)],
    )


def _samples(run: RunFolder, model: Model) -> Section:
    images = model.sample(96, seed=0)
    caption = f"{run.name}: 96 samples, seed 0, {resolve_sampling(run, model, {})[1]}"
    return Section(
        "New images, drawn from the prior", "", [_picture(images, 16, "samples", caption)]
    )


def _prior(run: RunFolder, model: Any, shown: Split) -> list[Section]:
    """Of a model that draws latents step by step."""
    steps = model.sampling.steps
    frames = f"{run.name}: four samples, decoded at {FRAMES} of {steps + 1} moments, noise first"
    sections = [
        _samples(run, model),
        Section("From noise to image", "", [_picture(film(model), FRAMES, "from noise", frames)]),
    ]
    if model.column is not None:
        images, rows = asked(model, shown)
        columns = len(images) // 4
        caption = f"{run.name}: guidance {model.sampling.guidance:g}; {rows}"
        picture = _picture(images, columns, "what was asked for, and drawn", caption)
        sections.append(Section(f"Drawn by {model.column}", "", [picture]))
    text = f"Images of the {shown.name} split."
    curve = Picture(error_by_time(model, shown))
    return [*sections, Section("Where the denoiser errs", text, [curve])]


def _interpolation(run: RunFolder, model: Any, some: torch.Tensor, split: str) -> Section:
    walks = [interpolate(model, some[[k, k + 1]], 12) for k in range(0, min(len(some) - 1, 6), 2)]
    caption = f"{run.name}: straight lines between the latents of {split} images"
    if not walks:
        return Section("Interpolation", "Needs two images.", [])
    return Section(
        "From one image to another", "", [_picture(torch.cat(walks), 12, "interpolation", caption)]
    )


def _betas(run: RunFolder, model: Any, shown: Split) -> Section:
    """What a model of many betas reaches at each."""
    assert run.beta_range is not None
    points = curve(model, shown, betas(run.beta_range))
    marked = {"this report": model.dial.beta}
    marked |= {purpose: each["chosen"]["beta"] for purpose, each in kept(run).items()}
    low, high = run.beta_range
    text = (
        f"One model answers for every beta from {low:g} to {high:g}: --beta with sample, "
        f"reconstruct, encode, evaluate and the rest; {min(len(shown), MOST):,} {shown.name} "
        f"images. The command latentia choose names one for a purpose."
    )
    return Section("Every beta", text, [Picture(svg(curve_figure(points, marked)))])


def _progress(run: RunFolder) -> list[Section]:
    """Samples of one seed through training, and the image that was tracked."""
    sections, strips = [], pictures_of(run, "samples", most=6)
    if len(strips) > 1:
        rows = [
            Picture(_embedded(path.read_bytes(), f"samples after epoch {epoch}"), f"epoch {epoch}")
            for epoch, path in strips
        ]
        text = "The same latents at each stage: seed 0."
        sections.append(Section("Samples through training", text, rows))
    if frames := pictures_of(run, "tracked"):
        image = _embedded(
            gif([Image.open(path) for _, path in frames]), "tracked image", kind="gif"
        )
        track = run.metadata["options"]["track"]
        caption = f"{track}: its reconstruction, {counted(len(frames), 'epoch')}"
        sections.append(Section("The tracked image", "", [Picture(image, caption)]))
    return sections


def _embedded(content: bytes, alt: str, kind: str = "png") -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{alt}" src="data:image/{kind};base64,{data}">'


def _text(value: Any) -> str:
    """A setting as a person writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} values: {', '.join(map(_text, value[:12]))}"
    if isinstance(value, list):
        return "x".join(map(_text, value))
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
