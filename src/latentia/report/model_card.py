"""A run's model card: what it is, how good, how sure that is, what ails it, how to load it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from latentia.core.text import pluralize
from latentia.runs.folder import RunFolder
from latentia.runs.hub import PREFIX
from latentia.runs.recipes import DIFFUSERS
from latentia.runs.recipes import read_card as described
from latentia.training.events import Finding

STANDARD_ERRORS = 1.96  # standard errors on each side: 95 %


def format_model_card(
    run: RunFolder,
    name: str,
    picture_names: Sequence[str],
    verdict: str,
    findings: Sequence[Finding],
) -> str:
    """README.md of the hub's repository OWNER/NAME, with the doctor's verdict and findings.

    pictures: those in its folder `pictures`. The doctor's commands are for who has the run.
    """
    from huggingface_hub import ModelCardData

    recipe, version = run.metadata["recipe"], run.metadata["machine"]["latentia"]
    header = ModelCardData(
        library_name="latentia",
        pipeline_tag="unconditional-image-generation",
        tags=["latentia", recipe],
    )
    paragraphs = [
        f"---\n{header.to_yaml()}\n---",
        f"# {name.split('/')[1]}",
        "" if recipe == DIFFUSERS else described(recipe).summary,
        describe_images(run.metadata["images"]),
        *(f"![{picture}](pictures/{picture}.png)" for picture in picture_names),
        "## Figures",
        "\n".join(format_metrics(run)),
        "## What ails it",
        f"The doctor (`latentia doctor`): {verdict}",
        "\n".join(
            f"- {finding.severity} {finding.kind}: {finding.text} {finding.consequence}".rstrip()
            for finding in findings
        ),
        "## How to load it",
        f"""```python
import latentia

model = latentia.load("{PREFIX}{name}")
images = model.sample(16, seed=0)  # in [0, 1]
```

```sh
latentia sample {PREFIX}{name} -n 64 --seed 0 --out samples.png
```

Nothing in this repository is executed: safetensors and JSON are read. It was made by
`latentia train {recipe}` in version {version}; `run.json` has all settings.""",
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def describe_images(image_metadata: dict[str, Any]) -> str:
    c, h, w = image_metadata["shape"]
    counts = ", ".join(
        f"{count:,} {split_name}" for split_name, count in image_metadata["count"].items()
    )
    channels = pluralize(c, "channel")
    return f"Images: {image_metadata['source']}, {counts}; {channels}, {h} x {w} pixels (height, width)."


def format_metrics(run: RunFolder) -> Iterator[str]:
    """A row for each figure of evaluation.json."""
    path = run.path / "evaluation.json"
    metrics = json.loads(path.read_text()).get("metrics", {}) if path.exists() else {}
    if not metrics:
        yield "None was measured: `latentia evaluate RUN` does."
        return
    yield "| figure | value | 95 % interval | n | split | of |"
    yield "|---|---|---|---|---|---|"
    for row in (row for rows in metrics.values() for row in rows):
        value, error, n = row["value"], row["error"], row["n"]
        value_text = "not finite" if value is None else f"{value:,.5g} {row['unit']}".rstrip()
        interval = ""
        if value is not None and error is not None:
            interval = " to ".join(
                f"{value + side * STANDARD_ERRORS * error:,.5g}" for side in (-1, 1)
            )
        counts = " and ".join(f"{count:,}" for count in (n if isinstance(n, list) else [n]))
        notes = "; ".join(filter(None, (row["features"], row["note"])))
        yield f"| {row['name']} | {value_text} | {interval} | {counts} | {row['split']} | {notes} |"
