"""Model card of a run on the hub: data, metrics with intervals, problems, and how to load it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2

from latentia.core.text import pluralize, round_to_error
from latentia.metrics.measure import load_metrics
from latentia.runs.folder import RunFolder
from latentia.runs.hub import PREFIX
from latentia.runs.recipes import DIFFUSERS, read_card
from latentia.training.events import Finding


def format_model_card(
    run: RunFolder,
    name: str,
    picture_names: Sequence[str],
    verdict: str,
    findings: Sequence[Finding],
) -> str:
    """Return README.md of the repository OWNER/NAME, with the doctor's verdict and findings.

    picture_names: files of its folder `pictures`, without suffix. Suggested commands are left out,
    since they need the run folder.
    """
    from huggingface_hub import ModelCardData

    recipe, (c, h, w) = run.metadata["recipe"], run.metadata["images"]["shape"]
    tags = {"pipeline_tag": "unconditional-image-generation", "tags": ["latentia", recipe]}
    header = ModelCardData(library_name="latentia", **tags)
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
    template = environment.from_string(Path(__file__).with_suffix(".md").read_text("utf-8"))
    content = {"pictures": picture_names, "verdict": verdict, "findings": findings}
    return template.render(
        run=run.metadata,
        header=header.to_yaml(),
        name=name.split("/")[1],
        address=f"{PREFIX}{name}",
        summary="" if recipe == DIFFUSERS else read_card(recipe).summary,
        image_format=f"{pluralize(c, 'channel')}, {h} x {w} pixels (height, width)",
        rows=list(format_metrics(run)),
        **content,
    )


def format_metrics(run: RunFolder) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a row for each metric of evaluation.json."""
    for result in load_metrics(run):
        text, ends = result.text, []
        if result.value is not None and result.interval:
            low, high = result.interval
            text, *ends = round_to_error((result.value, low, high), (high - low) / 2)
            text = f"{text} {result.unit}".rstrip()
        yield result.name, text, " to ".join(ends), result.counts, result.split, result.details
