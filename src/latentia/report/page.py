"""report.html: one file that holds all of a run that a person looks at."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import torch
from PIL import Image

from latentia.core.contract import HasLatents, HasTrajectory, Model
from latentia.core.text import pluralize
from latentia.data import Images, Split
from latentia.latents.interpolation import interpolate_images
from latentia.metrics.beta_choice import load_choices
from latentia.metrics.elbo import elbo
from latentia.metrics.measure import save_metrics
from latentia.metrics.rate_distortion import MAX_IMAGES, log_spaced_betas, measure_curve
from latentia.report.figures import (
    draw_monitor_curves,
    draw_rate_bars,
    draw_training_curves,
    to_svg,
)
from latentia.report.grids import encode_gif, encode_png, make_grid
from latentia.report.prior_figures import (
    N_FRAMES,
    decode_trajectory,
    draw_error_by_time,
    sample_conditions,
)
from latentia.report.rate_distortion_figures import draw_beta_curve
from latentia.report.training_images import list_training_images
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import resolve_sampling
from latentia.training.checkpoint import atomic_write
from latentia.training.events import Finding
from latentia.training.log import read_rows


class Picture(NamedTuple):
    html: str
    caption: str = ""


class Section(NamedTuple):
    title: str
    text: str
    pictures: list[Picture]


class HeadlineMetric(NamedTuple):
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
    shown_split = held_out if len(held_out) else images.split("train")
    rows = read_rows(run.path / "log.jsonl")
    training_rows = [row for row in rows if row["event"] == "logged"]
    validation_rows = [row for row in rows if row["event"] == "validated"]
    figures, sections = [], []
    if isinstance(model, HasTrajectory) and len(shown_split):
        sections += _make_prior_sections(run, model, shown_split)
    elif isinstance(model, HasLatents) and len(shown_split):
        result = elbo(model, shown_split)  # pyright: ignore[reportArgumentType]
        save_metrics(run, result)
        figures += _make_headline_metrics(result)
        first_images = shown_split.get_batch(slice(0, 12)).image
        sections += [
            _make_reconstruction_section(run, model, first_images, shown_split.name),
            _make_sample_section(run, model),
        ]
        sections.append(_make_interpolation_section(run, model, first_images, shown_split.name))
        sections.append(
            Section(
                "What each latent dimension carries",
                f"Rate by dimension over {pluralize(result['n'], 'image')} of the {result['split']} "
                f"split; {result['active_units']} of {len(result['rate_by_dimension'])} are "
                "active.",
                [Picture(draw_rate_bars(result["rate_by_dimension"]))],
            )
        )
    else:
        sections.append(_make_sample_section(run, model))
    if run.beta_range and isinstance(model, HasLatents) and len(shown_split):
        sections.append(_make_beta_section(run, model, shown_split))
    sections += _make_progress_sections(run)
    if training_rows:
        text = "Means between two log rows."
        if validation_rows:
            text += " Validation: held-out images, one posterior draw each"
            text += ", always at beta 1." if "nelbo" in validation_rows[0]["values"] else "."
        text += " Values far above the rest, at the start of the run, are outside the frame."
        curves = [
            Picture(
                draw_training_curves(training_rows, validation_rows, player), f"player: {player}"
            )
            for player in training_rows[-1]["players"]
        ]
        if training_rows[-1]["monitors"]:
            curves.append(
                Picture(draw_monitor_curves(training_rows), "what the model shows of itself")
            )
        sections.append(Section("Training", text, curves))
    figures.append(HeadlineMetric("parameters", f"{sum(run.metadata['parameters'].values()):,}"))
    path = run.path / "report.html"
    atomic_write(path, _render_page(run, figures, findings, sections).encode())
    return path


def _render_page(
    run: RunFolder,
    figures: list[HeadlineMetric],
    findings: Sequence[Finding],
    sections: list[Section],
) -> str:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string((Path(__file__).parent / "page.html").read_text())
    metadata = run.metadata
    groups = {**metadata["arguments"], **metadata["modifiers"], **metadata["options"]}
    settings = [(name.replace("_", "-"), _format_setting(value)) for name, value in groups.items()]
    settings += [(f"images: {k}", _format_setting(v)) for k, v in metadata["images"].items()]
    settings += [(f"machine: {k}", _format_setting(v)) for k, v in metadata["machine"].items()]
    return template.render(
        run=run,
        summary=f"{metadata['recipe']} on {metadata['images']['source']}",
        figures=figures,
        findings=findings,
        sections=sections,
        settings=settings,
        source=metadata["source"],
        version=metadata["machine"]["latentia"],
    )


def _make_headline_metrics(result: dict[str, Any]) -> list[HeadlineMetric]:
    error = result["standard_error"]["nelbo_nats"]
    error_text = f" ± {error:.1f}" if error else ""
    return [
        HeadlineMetric(
            f"nats: negative ELBO, {result['split']}", f"{result['nelbo_nats']:.1f}{error_text}"
        ),
        HeadlineMetric("nats of distortion", f"{result['distortion_nats']:.1f}"),
        HeadlineMetric("nats of rate", f"{result['rate_nats']:.1f}"),
        HeadlineMetric(
            "active latent dimensions",
            f"{result['active_units']} of {len(result['rate_by_dimension'])}",
        ),
    ]


def _embed_grid(images: torch.Tensor, columns: int, alt: str, caption: str) -> Picture:
    return Picture(_embed_image(encode_png(make_grid(images, columns, ""), caption), alt), caption)


def _make_reconstruction_section(
    run: RunFolder, model: Any, originals: torch.Tensor, split: str
) -> Section:
    pairs = torch.cat([originals, model.reconstruct(originals)])
    caption = f"{run.name}: the first {pluralize(len(originals), 'image')} of the {split} split; decoded means"
    return Section(
        "Originals above reconstructions",
        "",
        [_embed_grid(pairs, len(originals), "originals above their reconstructions", caption)],
    )


def _make_sample_section(run: RunFolder, model: Model) -> Section:
    images = model.sample(96, seed=0)
    caption = f"{run.name}: 96 samples, seed 0, {resolve_sampling(run, model, {})[1]}"
    return Section(
        "New images, drawn from the prior", "", [_embed_grid(images, 16, "samples", caption)]
    )


def _make_prior_sections(run: RunFolder, model: Any, split: Split) -> list[Section]:
    """Of a model that draws latents step by step."""
    steps = model.sampling.steps
    trajectory_caption = (
        f"{run.name}: four samples, decoded at {N_FRAMES} of {steps + 1} moments, noise first"
    )
    sections = [
        _make_sample_section(run, model),
        Section(
            "From noise to image",
            "",
            [_embed_grid(decode_trajectory(model), N_FRAMES, "from noise", trajectory_caption)],
        ),
    ]
    if model.column is not None:
        images, row_text = sample_conditions(model, split)
        columns = len(images) // 4
        caption = f"{run.name}: guidance {model.sampling.guidance:g}; {row_text}"
        picture = _embed_grid(images, columns, "what was asked for, and drawn", caption)
        sections.append(Section(f"Drawn by {model.column}", "", [picture]))
    text = f"Images of the {split.name} split."
    error_picture = Picture(draw_error_by_time(model, split))
    return [*sections, Section("Where the denoiser errs", text, [error_picture])]


def _make_interpolation_section(
    run: RunFolder, model: Any, originals: torch.Tensor, split: str
) -> Section:
    walks = [
        interpolate_images(model, originals[[k, k + 1]], 12)
        for k in range(0, min(len(originals) - 1, 6), 2)
    ]
    caption = f"{run.name}: straight lines between the latents of {split} images"
    if not walks:
        return Section("Interpolation", "Needs two images.", [])
    return Section(
        "From one image to another",
        "",
        [_embed_grid(torch.cat(walks), 12, "interpolation", caption)],
    )


def _make_beta_section(run: RunFolder, model: Any, split: Split) -> Section:
    """What a model of many betas reaches at each."""
    assert run.beta_range is not None
    points = measure_curve(model, split, log_spaced_betas(run.beta_range))
    marks = {"this report": model.dial.beta}
    marks |= {purpose: each["chosen"]["beta"] for purpose, each in load_choices(run).items()}
    low, high = run.beta_range
    text = (
        f"One model answers for every beta from {low:g} to {high:g}: --beta with sample, "
        f"reconstruct, encode, evaluate and the rest; {min(len(split), MAX_IMAGES):,} {split.name} "
        f"images. The command latentia choose names one for a purpose."
    )
    return Section("Every beta", text, [Picture(to_svg(draw_beta_curve(points, marks)))])


def _make_progress_sections(run: RunFolder) -> list[Section]:
    """Samples of one seed through training, and the image that was tracked."""
    sections, sample_files = [], list_training_images(run, "samples", max_files=6)
    if len(sample_files) > 1:
        pictures = [
            Picture(
                _embed_image(path.read_bytes(), f"samples after epoch {epoch}"), f"epoch {epoch}"
            )
            for epoch, path in sample_files
        ]
        text = "The same latents at each stage: seed 0."
        sections.append(Section("Samples through training", text, pictures))
    if tracked_files := list_training_images(run, "tracked"):
        image = _embed_image(
            encode_gif([Image.open(path) for _, path in tracked_files]),
            "tracked image",
            image_format="gif",
        )
        track = run.metadata["options"]["track"]
        caption = f"{track}: its reconstruction, {pluralize(len(tracked_files), 'epoch')}"
        sections.append(Section("The tracked image", "", [Picture(image, caption)]))
    return sections


def _embed_image(content: bytes, alt: str, image_format: str = "png") -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{alt}" src="data:image/{image_format};base64,{data}">'


def _format_setting(value: Any) -> str:
    """A setting as a person writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_format_setting(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} values: {', '.join(map(_format_setting, value[:12]))}"
    if isinstance(value, list):
        return "x".join(map(_format_setting, value))
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
