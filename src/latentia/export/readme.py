"""README.md of an ONNX export: inputs and outputs of each file, and a program that calls them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from latentia.core.text import pluralize
from latentia.runs.folder import RunFolder

DESCRIPTIONS = {
    "encoder": "posterior of an image",
    "decoder": "expected image of latents; with latents from N(0, 1), samples of a VAE",
    "prior": "latents of the prior, from noise, N(0, 1), and a level, uniform in [0, 1)",
    "generator": "image from noise, N(0, 1)",
    "sampler": "image from noise, N(0, 1), through the learned prior and the decoder",
}


def format_readme(run: RunFolder, files: Sequence[Any], title: str) -> str:
    """Return README.md for exported files (`onnx.ExportedFile`); title: versions and opset.

    Its program runs in the folder with numpy and onnxruntime only.
    """
    c, h, w = run.metadata["images"]["shape"]
    by_name = {file.path.stem: file for file in files}
    last = next(name for name in ("sampler", "generator", "decoder") if name in by_name)
    noise, *conditions = (
        (name, ", ".join(shape.split("x")[1:])) for name, shape in by_name[last].inputs.items()
    )
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
    template = environment.from_string(Path(__file__).with_suffix(".md").read_text("utf-8"))
    return template.render(
        run=run.metadata,
        name=run.name,
        title=title,
        difference=max(file.difference for file in files),
        rows=[describe_file(file) for file in files],
        classes=[name for file in files for name in file.metadata.get("classes", ())],
        image_format=f"{pluralize(c, 'channel')} of {h}x{w}",
        parts=by_name,
        last=last,
        noise=noise,
        condition=conditions[0] if conditions else None,
        has_shares="shares" in by_name[last].metadata,
    )


def describe_file(file: Any) -> tuple[str, ...]:
    """Return the cells of a file's row: its name, inputs, outputs and description."""
    inputs, outputs = (
        "; ".join(f"{name} {shape}" for name, shape in shapes.items())
        for shapes in (file.inputs, file.outputs)
    )
    notes = [DESCRIPTIONS[file.path.stem]]
    notes += [f"{k} {v}" for k, v in file.metadata.items() if k not in ("shares", "classes")]
    return file.path.name, inputs, outputs, ", ".join(notes)
