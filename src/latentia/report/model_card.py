"""A run's model card: what it is, how good, how sure that is, what ails it, how to load it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from latentia.core.text import counted
from latentia.runs.folder import RunFolder
from latentia.runs.hub import PREFIX
from latentia.runs.recipes import DIFFUSERS
from latentia.runs.recipes import read_card as described
from latentia.training.events import Finding

INTERVAL = 1.96  # standard errors on each side: 95 %


def card(
    run: RunFolder, name: str, pictures: Sequence[str], verdict: str, findings: Sequence[Finding]
) -> str:
    """README.md of the hub's repository OWNER/NAME, with the doctor's verdict and findings.

    pictures: those in its folder `pictures`. The doctor's commands are for who has the run.
    """
    from huggingface_hub import ModelCardData

    recipe, version = run.metadata["recipe"], run.metadata["machine"]["latentia"]
    head = ModelCardData(
        library_name="latentia",
        pipeline_tag="unconditional-image-generation",
        tags=["latentia", recipe],
    )
    parts = [
        f"---\n{head.to_yaml()}\n---",
        f"# {name.split('/')[1]}",
        "" if recipe == DIFFUSERS else described(recipe).summary,
        images(run.metadata["images"]),
        *(f"![{picture}](pictures/{picture}.png)" for picture in pictures),
        "## Figures",
        "\n".join(figures(run)),
        "## What ails it",
        f"The doctor (`latentia doctor`): {verdict}",
        "\n".join(f"- {f.severity} {f.kind}: {f.text} {f.means}".rstrip() for f in findings),
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
    return "\n\n".join(filter(None, parts)) + "\n"


def images(spec: dict[str, Any]) -> str:
    c, h, w = spec["shape"]
    counts = ", ".join(f"{n:,} {part}" for part, n in spec["count"].items())
    many = counted(c, "channel")
    return f"Images: {spec['source']}, {counts}; {many}, {h} x {w} pixels (height, width)."


def figures(run: RunFolder) -> Iterator[str]:
    """A row for each figure of evaluation.json."""
    path = run.path / "evaluation.json"
    found = json.loads(path.read_text()).get("metrics", {}) if path.exists() else {}
    if not found:
        yield "None was measured: `latentia evaluate RUN` does."
        return
    yield "| figure | value | 95 % interval | n | split | of |"
    yield "|---|---|---|---|---|---|"
    for row in (row for rows in found.values() for row in rows):
        value, error, n = row["value"], row["error"], row["n"]
        shown = "not finite" if value is None else f"{value:,.5g} {row['unit']}".rstrip()
        around = ""
        if value is not None and error is not None:
            around = " to ".join(f"{value + side * INTERVAL * error:,.5g}" for side in (-1, 1))
        counts = " and ".join(f"{k:,}" for k in (n if isinstance(n, list) else [n]))
        of = "; ".join(filter(None, (row["features"], row["note"])))
        yield f"| {row['name']} | {shown} | {around} | {counts} | {row['split']} | {of} |"
