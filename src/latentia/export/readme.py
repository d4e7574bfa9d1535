"""README.md of an ONNX export: inputs and outputs of each file, and a program that calls them."""

from collections.abc import Sequence
from typing import Any

from latentia.core.text import pluralize
from latentia.runs.folder import RunFolder

DESCRIPTIONS = {
    "encoder": "posterior of an image",
    "decoder": "expected image of latents; with latents from N(0, 1), samples of a VAE",
    "generator": "image from noise, N(0, 1)",
    "sampler": "image from noise, N(0, 1), through the learned prior and the decoder",
}


def format_readme(run: RunFolder, files: Sequence[Any], title: str) -> str:
    """Return README.md for exported files (`onnx.ExportedFile`); title: versions and opset."""
    images = run.metadata["images"]
    c, h, w = images["shape"]
    difference = max(file.difference for file in files)
    lines = [
        f"# {run.name} as ONNX\n",
        f"A run of the recipe {run.metadata['recipe']}; {title}. No value differs from PyTorch's",
        f"by more than {difference:.1g} of an output's largest value (of 1 if that is less).\n",
        "| file | inputs | outputs | description |\n|---|---|---|---|",
        *(format_row(file) for file in files),
        "\nn is any number of rows. Values are float32, and int64 for a condition that is a class.",
        f"Images lie in [0, 1], {pluralize(c, 'channel')} of {h}x{w}. The run's images were "
        f"resized to this size ({images['preprocessing']['filter']}).",
    ]
    if classes := [name for file in files for name in file.metadata.get("classes", ())]:
        lines += [f"Classes of the condition: {', '.join(classes)}."]
    return "\n".join([*lines, "\n```python", format_program(files, (c, h, w)), "```", ""])


def format_row(file: Any) -> str:
    inputs, outputs = (
        "; ".join(f"{name} {shape}" for name, shape in shapes.items())
        for shapes in (file.inputs, file.outputs)
    )
    notes = [DESCRIPTIONS[file.path.stem]]
    notes += [f"{k} {v}" for k, v in file.metadata.items() if k not in ("shares", "classes")]
    return f"| {file.path.name} | {inputs} | {outputs} | {', '.join(notes)} |"


def format_program(files: Sequence[Any], shape: tuple[int, int, int]) -> str:
    """Return a program that runs in the folder with numpy and onnxruntime only."""
    by_name = {file.path.stem: file for file in files}
    lines = [
        "import json\n\nimport numpy as np\nimport onnxruntime\n",
        "rng = np.random.default_rng(0)",
        f"names = {[*by_name]}",
        "files = {name: onnxruntime.InferenceSession(f'{name}.onnx') for name in names}",
    ]
    if "encoder" in by_name:
        size, outputs = ", ".join(map(str, shape)), ", ".join(by_name["encoder"].outputs)
        lines += [
            f"images = rng.random((5, {size}), dtype=np.float32)  # put your images here",
            f"{outputs} = files['encoder'].run(None, {{'image': images}})",
            "(reconstructions,) = files['decoder'].run(None, {'z': mean})",
        ]
    last = next(name for name in ("sampler", "generator", "decoder") if name in by_name)
    inputs = by_name[last].inputs
    noise, *others = inputs
    size = ", ".join(inputs[noise].split("x")[1:])
    lines += [f"inputs = {{'{noise}': rng.standard_normal((5, {size}), dtype=np.float32)}}"]
    if others and "shares" in by_name[last].metadata:
        lines += [
            "metadata = files['sampler'].get_modelmeta().custom_metadata_map['latentia']",
            "shares = np.array(json.loads(metadata)['shares'])  # of classes in the training data",
            "inputs['condition'] = rng.choice(len(shares), 5, p=shares / shares.sum())",
        ]
    elif others:
        size = ", ".join(inputs["condition"].split("x")[1:])
        condition = f"rng.random((5, {size}), dtype=np.float32)"
        lines += [f"inputs['condition'] = {condition}  # put your conditions here"]
    lines += [f"(samples,) = files['{last}'].run(None, inputs)  # (5, c, h, w)"]
    return "\n".join(lines)
