"""The report page of a run: report.html, one self-contained file."""

import html
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import torch
import torch.nn.functional as F
from PIL import Image

from latentia.core.contract import HasLatents, HasTrajectory
from latentia.core.text import format_with_error, pluralize
from latentia.data import Images
from latentia.data.examples import draw_example_rows
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.code_use import find_codes, measure_code_use
from latentia.latents.encoding import encode_split
from latentia.latents.interpolation import interpolate_images
from latentia.metrics.beta_choice import load_choices
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import read_evaluation, save_metrics
from latentia.metrics.rate_distortion import MAX_IMAGES, log_spaced_betas, measure_curve
from latentia.models.hvae import HVAE
from latentia.nets.column_condition import use_columns, use_rows
from latentia.report.baselines import format_headlines, measure_baselines
from latentia.report.figures import (
    FEW_ROWS,
    TERM_LABELS,
    draw_monitor_curves,
    draw_rate_bars,
    draw_training_curves,
    to_svg,
)
from latentia.report.grids import encode_gif
from latentia.report.latent_figures import shorten_key
from latentia.report.level_figures import make_level_section
from latentia.report.methods import describe_methods, list_settings
from latentia.report.overview import make_first_overview, make_overview
from latentia.report.prior_figures import N_FRAMES, decode_trajectory, draw_error_by_time
from latentia.report.rate_distortion_figures import draw_beta_curve
from latentia.report.sections import Picture, Section, embed_image, make_grid_section
from latentia.report.training_images import list_training_images
from latentia.runs.create import FIT_FILE
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import atomic_write, read_json
from latentia.training.events import ListedImage
from latentia.training.log import read_rows

MAX_COMPARED = 500  # images whose error and sharpness are compared
OPTION = re.compile(r"--\w[\w-]*")
SHEET_IMAGES, TILE_SIDE = 24, 128  # images of a finding, and pixels of their longer side, at most


def write_report(run: RunFolder, images: Images, *diagnoses: Any) -> Path:
    """Write evaluation.json and report.html, and return the page's path.

    All figures are drawn from the weights, the log, and the validation images (or the training
    images, if none were held out). diagnoses: the DiagnosticReport of the run, and that of its
    learned prior, if there is one. The model is loaded from the run, so that a training in progress
    is not touched.
    """
    read_evaluation(run)  # damage to a file of the run is an error before any work
    progress = _make_progress_sections(run)
    validation = images.split("validation")
    split = validation if len(validation) else images.split("train")
    evaluation = Evaluation(run, images, split, n=MAX_COMPARED)
    model, headlines, result = evaluation.model, {}, {}
    samples = model.sample(100, seed=0)
    sections = _make_contact_sheets(run, images, diagnoses[0].images if diagnoses else ())
    overview, baselines = make_overview(evaluation, samples), measure_baselines(evaluation, samples)
    if isinstance(model, HasLatents) and not isinstance(model, HasTrajectory):
        result = evaluation.elbo
        headlines |= _make_headlines(result, math.prod(model.latent_shape))
        if find_codes(model):
            use = measure_code_use(model, encode_split(model, split, MAX_COMPARED))
            headlines |= {"codes in use": str(use)}
        sections += _make_latent_sections(evaluation)
    if isinstance(model, HasTrajectory):
        sections += _make_prior_sections(evaluation, samples)
    headlines |= format_headlines(baselines)
    rows = {name: [each._asdict() for each in rows] for name, rows in baselines.items()}
    save_metrics(run, {**result, "report": rows})
    sections += [*progress, *_make_training_sections(run)]
    sections += _make_command_sections(run)
    count = sum(run.metadata["parameters"].values())
    headlines["parameters"] = f"{count:,}"
    content = {"overview": overview, "headlines": headlines, "sections": sections}
    return _write_page(run, {**content, "diagnoses": diagnoses})


def write_first_report(run: RunFolder, images: Images) -> Path:
    """Write the coordinates' part of the report, before they have pictures; return its path."""
    overview = make_first_overview(Evaluation(run, images, images.split("train")))
    content = {"overview": overview, "headlines": {}, "sections": [], "diagnoses": []}
    return _write_page(run, content)


def _write_page(run: RunFolder, content: dict[str, Any]) -> Path:
    """Write report.html, and return its path."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    environment.filters |= {"keep_options": _keep_options, "format_command": _format_command}
    template = environment.from_string((Path(__file__).parent / "page.html").read_text("utf-8"))
    content |= {"methods": describe_methods(run), "settings": list_settings(run.metadata)}
    page = template.render(run=run, **content)
    path = run.path / "report.html"
    atomic_write(path, page.encode(errors="replace"))
    return path


def _keep_options(text: str) -> str:
    """Return text as HTML in which no option, such as --save-every, breaks at its hyphens."""
    return OPTION.sub(r'<span class="word">\g<0></span>', html.escape(text))


def _format_command(command: str) -> str:
    """Return a command as HTML whose lines break between its words."""
    words = (f'<span class="word">{html.escape(word)}</span>' for word in command.split(" "))
    return f'<pre class="command">{" ".join(words)}</pre>'


def _make_headlines(result: dict[str, Any], n_dims: int) -> dict[str, str]:
    """Return the values at the top of the page by name."""
    bound = format_with_error(result["nelbo_nats"], result["standard_error"]["nelbo_nats"])
    name, active = f"negative ELBO, nats, {result['split']} split", result["active_units"]
    terms = {f"{v}, nats": f"{result[f'{k}_nats']:,.1f}" for k, v in TERM_LABELS.items()}
    return {name: bound, **terms, "active latent dimensions": f"{active} of {n_dims}"}


def _make_contact_sheets(
    run: RunFolder, images: Images, listed_images: Sequence[ListedImage]
) -> list[Section]:
    """Return some images of each finding about images, each with its key."""
    split, sections = images.split("all"), []
    rows = {key: row for row, key in enumerate(split.keys)}
    for kind in dict.fromkeys(image.finding for image in listed_images if image.key in rows):
        matches = [image for image in listed_images if image.finding == kind]
        sheet = [matches[k] for k in evenly_spaced_rows(len(matches), SHEET_IMAGES).tolist()]
        keys = [key for image in sheet for key in (image.key, image.same_as) if key]
        tiles = split.get_batch(torch.tensor([rows[key] for key in keys])).image
        tiles = F.avg_pool2d(tiles, math.ceil(max(tiles.shape[2:]) / TILE_SIDE), ceil_mode=True)
        caption = f"{run.name}: {kind}, {len(sheet)} of {pluralize(len(matches), 'image')}"
        if sheet[0].same_as:
            caption += ", each before the image that it repeats"
        labels = [shorten_key(key) for key in keys]
        sections.append(
            make_grid_section(kind.capitalize(), tiles, min(8, len(keys)), caption, labels)
        )
    return sections


def _make_latent_sections(evaluation: Evaluation) -> list[Section]:
    """Return the sections of a model with an encoder."""
    run, split, model = evaluation.run, evaluation.split, evaluation.autoencoder
    x, columns = split.get_batch(draw_example_rows(split, 12))
    count = pluralize(len(x), "image")
    caption = f"{run.name}: {count} of the {split.name} split, drawn by seed; decoded means"
    with use_columns(model, columns):
        pairs = torch.cat([x, model.reconstruct(x)])
        interpolation = _make_interpolation_section(run, model, x, split.name)
    text = f"Mean over {pluralize(len(split), 'image')} of the {split.name} split."
    pairs_section = make_grid_section("Originals above reconstructions", pairs, len(x), caption)
    sections = [pairs_section, interpolation]
    if (rates := evaluation.elbo.get("rate_by_dimension")) is not None:
        if isinstance(model, HVAE):
            sections.append(make_level_section(run.name, model, rates))
        bars = Picture(draw_rate_bars(rates))
        sections.append(Section("Rate (KL) of each latent dimension", text, [bars]))
    if run.beta_range:
        sections.append(_make_beta_section(evaluation, run.beta_range))
    return sections


def _make_interpolation_section(run: RunFolder, model: Any, x: torch.Tensor, split: str) -> Section:
    starts = range(0, min(len(x) - 1, 6), 2)
    if not starts:
        return Section("Interpolation", "Needs two images.", [])
    paths = []
    for k in starts:
        with use_rows(model, [k, k + 1]):
            paths.append(interpolate_images(model, x[[k, k + 1]], 12))
    caption = f"{run.name}: straight lines between the latents of {split} images"
    return make_grid_section("Interpolation", torch.cat(paths), 12, caption)


def _make_prior_sections(evaluation: Evaluation, samples: torch.Tensor) -> list[Section]:
    """Return the sections of a model that draws latents step by step."""
    name, split = evaluation.run.name, evaluation.split
    model: Any = evaluation.model
    text, n_steps = f"Images of the {split.name} split.", model.sampling.steps + 1
    caption = f"{name}: four samples after {N_FRAMES} of {n_steps} steps, from noise"
    frames = decode_trajectory(model)
    sections = [make_grid_section("From noise to image", frames, N_FRAMES, caption)]
    if model.column is not None:  # samples of each condition are on the first screen
        caption = f"{name}: {pluralize(len(samples), 'sample')}, seed 0, every condition"
        sections.append(make_grid_section("Samples", samples, 20, caption))
    picture = Picture(draw_error_by_time(model, split))
    return [*sections, Section("Denoising error over time", text, [picture])]


def _make_beta_section(evaluation: Evaluation, limits: tuple[float, float]) -> Section:
    """Return the rate-distortion curve of a model of many betas."""
    run, split, model = evaluation.run, evaluation.split, evaluation.autoencoder
    low, high = limits
    points = measure_curve(model, split, log_spaced_betas(limits))
    marks = {"this report": model.dial.beta}
    marks |= {purpose: each["chosen"]["beta"] for purpose, each in load_choices(run).items()}
    text = (
        f"This model was trained for every beta from {low:g} to {high:g}: the option --beta of "
        f"sample, reconstruct, encode, evaluate and other commands sets it, and latentia choose "
        f"finds one for a purpose. The curve is that of {min(len(split), MAX_IMAGES):,} "
        f"{split.name} images."
    )
    picture = Picture(to_svg(draw_beta_curve(points, marks)))
    return Section("Distortion against rate, by beta", text, [picture])


def _make_progress_sections(run: RunFolder) -> list[Section]:
    """Return the images that were rendered during training, if any."""
    sections, samples = [], list_training_images(run, "samples", max_files=6)
    if len(samples) > 1:
        pictures = []
        for epoch, path in samples:
            image = embed_image(path.read_bytes(), f"samples after epoch {epoch}")
            pictures.append(Picture(image, f"epoch {epoch}"))
        text = "The same latents at each epoch: seed 0."
        sections.append(Section("Samples through training", text, pictures))
    if tracked_files := list_training_images(run, "tracked"):
        frames = [Image.open(path, formats=["PNG"]) for _, path in tracked_files]
        image = embed_image(encode_gif(frames), "tracked image", "gif")
        name, count = run.metadata["options"]["track"], pluralize(len(tracked_files), "epoch")
        picture = Picture(image, f"{name}: its reconstruction, {count}")
        sections.append(Section("Tracked image", "", [picture]))
    return sections


def _make_training_sections(run: RunFolder) -> list[Section]:
    rows = read_rows(run.path / "log.jsonl")
    training_rows = [row for row in rows if row["event"] == "logged"]
    validation_rows = [row for row in rows if row["event"] == "validated"]
    if not training_rows:
        return []
    text = "Means over the steps between two rows of the log."
    if validation_rows:
        at_beta = ", always at beta 1" if "nelbo" in validation_rows[0]["values"] else ""
        text += f" Validation: held-out images, one posterior draw each{at_beta}."
    text += " Values at the start of the run that are far above all others are outside the frame."
    if len(training_rows) < FEW_ROWS:
        n_rows = pluralize(len(training_rows), "row")
        text += f" Dots are single values, since the log has only {n_rows}."
    pictures = [
        Picture(draw_training_curves(training_rows, validation_rows, player), f"player: {player}")
        for player in training_rows[-1]["players"]
    ]
    if training_rows[-1]["monitors"]:
        pictures.append(Picture(draw_monitor_curves(training_rows), "monitors of the model"))
    return [Section("Training", text, pictures)]


def _make_command_sections(run: RunFolder) -> list[Section]:
    """Return the commands of `latentia fit`; none for other runs."""
    content = read_json(run.path / FIT_FILE)
    if not content:
        return []
    text = "These commands give the same runs, bit for bit, whatever the time."
    commands = "".join(map(_format_command, content["commands"]))
    return [Section("Commands", text, [Picture(commands)])]
