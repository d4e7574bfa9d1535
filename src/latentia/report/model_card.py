"""Model card of a run on the hub: data, metrics with intervals, problems, and how to load it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from latentia.core.text import pluralize
from latentia.runs.folder import RunFolder
from latentia.runs.hub import PREFIX
from latentia.runs.recipes import DIFFUSERS, read_card
from latentia.training.events import Finding

STANDARD_ERRORS = 1.96  # on each side of a 95 % interval


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

    recipe, version = run.metadata["recipe"], run.metadata["machine"]["latentia"]
    header = ModelCardData(
        library_name="latentia",
        pipeline_tag="unconditional-image-generation",
        tags=["latentia", recipe],
    )
    problems = (
        f"- {finding.severity} {finding.kind}: {finding.text} {finding.consequence}".rstrip()
        for finding in findings
    )
    paragraphs = [
        f"---\n{header.to_yaml()}\n---",
        f"# {name.split('/')[1]}",
        "" if recipe == DIFFUSERS else read_card(recipe).summary,
        describe_images(run.metadata["images"]),
        *(f"![{picture}](pictures/{picture}.png)" for picture in picture_names),
        "## Metrics",
        "\n".join(format_metrics(run)),
        "## Problems",
        f"The doctor (`latentia doctor`): {verdict}",
        "\n".join(problems),
        "## How to load it",
        f"""```python
import latentia

run = latentia.load("{PREFIX}{name}")
images = run.sample(16, seed=0)  # in [0, 1]
```

```sh
latentia sample {PREFIX}{name} -n 64 --seed 0 --out samples.png
```

Nothing in this repository is executed: safetensors and JSON are read. It was made by
`latentia train {recipe}` in version {version}; `run.json` has all settings.""",
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def describe_images(images: dict[str, Any]) -> str:
    c, h, w = images["shape"]
    counts = ", ".join(f"{count:,} {split}" for split, count in images["count"].items())
    size = f"{pluralize(c, 'channel')}, {h} x {w} pixels (height, width)"
    return f"Images: {images['source']}, {counts}; {size}."


def format_metrics(run: RunFolder) -> Iterator[str]:
    """Yield a Markdown table with a row for each metric of evaluation.json."""
    path = run.path / "evaluation.json"
    metrics = json.loads(path.read_text()).get("metrics", {}) if path.exists() else {}
    if not metrics:
        yield "No metric was measured; `latentia evaluate RUN` measures them."
        return
    yield "| metric | value | 95 % interval | n | split | note |"
    yield "|---|---|---|---|---|---|"
    for row in (row for rows in metrics.values() for row in rows):
        value, error, n = row["value"], row["error"], row["n"]
        text = "not finite" if value is None else f"{value:,.5g} {row['unit']}".rstrip()
        interval = ""
        if value is not None and error is not None:
            ends = (value + side * STANDARD_ERRORS * error for side in (-1, 1))
            interval = " to ".join(f"{end:,.5g}" for end in ends)
        counts = " and ".join(f"{count:,}" for count in (n if isinstance(n, list) else [n]))
        notes = "; ".join(filter(None, (row["features"], row["note"])))
        yield f"| {row['name']} | {text} | {interval} | {counts} | {row['split']} | {notes} |"
