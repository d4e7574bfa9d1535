"""README.md beside exported files: what they take and give, and how they are called."""

from collections.abc import Sequence
from typing import Any

from latentia.core.text import pluralize
from latentia.runs.folder import RunFolder

DESCRIPTIONS = {
    "encoder": "the posterior of an image",
    "decoder": "the expected image of latents; of N(0, 1), samples of a VAE",
    "generator": "an image of noise from N(0, 1)",
    "sampler": "an image of noise from N(0, 1), through the learned prior and the decoder",
}


def format_guide(run: RunFolder, files: Sequence[Any], title: str) -> str:
    """files: `onnx.Written`s; title: with what they were made."""
    image_metadata = run.metadata["images"]
    c, h, w = image_metadata["shape"]
    max_difference = max(file.difference for file in files)
    lines = [
        f"# {run.name} as ONNX\n",
        f"A run of the recipe {run.metadata['recipe']}; {title}. Compared with PyTorch, no value",
        f"differs by more than {max_difference:.1g} of an output's largest (of 1 if that is less).\n",
        "| file | takes | gives | what |\n|---|---|---|---|",
        *(format_row(file) for file in files),
        "\nn is any number of rows; all is float32, condition int64 where it is a class.",
        f"Images lie in [0, 1], {pluralize(c, 'channel')} of {h}x{w}; the run's were resized so, "
        f"{image_metadata['preprocessing']['filter']}.",
    ]
    if classes := [class_name for file in files for class_name in file.metadata.get("classes", ())]:
        lines += [f"Classes of the condition: {', '.join(classes)}."]
    return "\n".join([*lines, "\n```python", format_program(files, (c, h, w)), "```", ""])


def format_row(file: Any) -> str:
    input_text, output_text = (
        "; ".join(f"{name} {shape}" for name, shape in shapes.items())
        for shapes in (file.inputs, file.outputs)
    )
    notes = [DESCRIPTIONS[file.path.stem]]
    notes += [f"{k} {v}" for k, v in file.metadata.items() if k not in ("shares", "classes")]
    return f"| {file.path.name} | {input_text} | {output_text} | {', '.join(notes)} |"


def format_program(files: Sequence[Any], shape: tuple[int, int, int]) -> str:
    """It runs in the folder, with numpy and onnxruntime alone."""
    by_name = {file.path.stem: file for file in files}
    lines = [
        "import json\n\nimport numpy as np\nimport onnxruntime\n",
        "draw = np.random.default_rng(0)",
        "files = {name: onnxruntime.InferenceSession(f'{name}.onnx') for name in " + f"{[*by_name]}"
        "}",
    ]
    if "encoder" in by_name:
        size = ", ".join(map(str, shape))
        lines += [
            f"images = draw.random((5, {size}), dtype=np.float32)  # yours",
            "mean, logvar = files['encoder'].run(None, {'image': images})",
            "(again,) = files['decoder'].run(None, {'z': mean})  # reconstructions",
        ]
    last_name = next(name for name in ("sampler", "generator", "decoder") if name in by_name)
    inputs = by_name[last_name].inputs
    noise_name, *other_inputs = inputs
    noise = ", ".join(inputs[noise_name].split("x")[1:])
    lines += [f"given = {{'{noise_name}': draw.standard_normal((5, {noise}), dtype=np.float32)}}"]
    if other_inputs and "shares" in by_name[last_name].metadata:
        lines += [
            "about = json.loads(files['sampler'].get_modelmeta().custom_metadata_map['latentia'])",
            "shares = np.array(about['shares'])  # of the classes among the training images",
            "given['condition'] = draw.choice(len(shares), 5, p=shares / shares.sum())",
        ]
    elif other_inputs:
        size = ", ".join(inputs["condition"].split("x")[1:])
        lines += [f"given['condition'] = draw.random((5, {size}), dtype=np.float32)  # yours"]
    return "\n".join([*lines, f"(new,) = files['{last_name}'].run(None, given)  # (5, c, h, w)"])
