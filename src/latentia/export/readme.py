"""README.md beside exported files: what they take and give, and how they are called."""

from collections.abc import Sequence
from typing import Any

from latentia.core.text import counted
from latentia.runs.folder import RunFolder

ABOUT = {
    "encoder": "the posterior of an image",
    "decoder": "the expected image of latents; of N(0, 1), samples of a VAE",
    "generator": "an image of noise from N(0, 1)",
    "sampler": "an image of noise from N(0, 1), through the learned prior and the decoder",
}


def guide(run: RunFolder, files: Sequence[Any], title: str) -> str:
    """files: `onnx.Written`s; title: with what they were made."""
    spec = run.metadata["images"]
    c, h, w = spec["shape"]
    worst = max(file.difference for file in files)
    lines = [
        f"# {run.name} as ONNX\n",
        f"A run of the recipe {run.metadata['recipe']}; {title}. Compared with PyTorch, no value",
        f"differs by more than {worst:.1g} of an output's largest (of 1 if that is less).\n",
        "| file | takes | gives | what |\n|---|---|---|---|",
        *(row(file) for file in files),
        "\nn is any number of rows; all is float32, condition int64 where it is a class.",
        f"Images lie in [0, 1], {counted(c, 'channel')} of {h}x{w}; the run's were resized so, "
        f"{spec['preprocessing']['filter']}.",
    ]
    if classes := [each for file in files for each in file.about.get("classes", ())]:
        lines += [f"Classes of the condition: {', '.join(classes)}."]
    return "\n".join([*lines, "\n```python", program(files, (c, h, w)), "```", ""])


def row(file: Any) -> str:
    takes, gives = (
        "; ".join(f"{name} {shape}" for name, shape in some.items())
        for some in (file.inputs, file.outputs)
    )
    told = [ABOUT[file.path.stem]]
    told += [f"{k} {v}" for k, v in file.about.items() if k not in ("shares", "classes")]
    return f"| {file.path.name} | {takes} | {gives} | {', '.join(told)} |"


def program(files: Sequence[Any], shape: tuple[int, int, int]) -> str:
    """It runs in the folder, with numpy and onnxruntime alone."""
    named = {file.path.stem: file for file in files}
    lines = [
        "import json\n\nimport numpy as np\nimport onnxruntime\n",
        "draw = np.random.default_rng(0)",
        "files = {name: onnxruntime.InferenceSession(f'{name}.onnx') for name in " + f"{[*named]}"
        "}",
    ]
    if "encoder" in named:
        size = ", ".join(map(str, shape))
        lines += [
            f"images = draw.random((5, {size}), dtype=np.float32)  # yours",
            "mean, logvar = files['encoder'].run(None, {'image': images})",
            "(again,) = files['decoder'].run(None, {'z': mean})  # reconstructions",
        ]
    last = next(name for name in ("sampler", "generator", "decoder") if name in named)
    inputs = named[last].inputs
    first, *more = inputs
    noise = ", ".join(inputs[first].split("x")[1:])
    lines += [f"given = {{'{first}': draw.standard_normal((5, {noise}), dtype=np.float32)}}"]
    if more and "shares" in named[last].about:
        lines += [
            "about = json.loads(files['sampler'].get_modelmeta().custom_metadata_map['latentia'])",
            "shares = np.array(about['shares'])  # of the classes among the training images",
            "given['condition'] = draw.choice(len(shares), 5, p=shares / shares.sum())",
        ]
    elif more:
        size = ", ".join(inputs["condition"].split("x")[1:])
        lines += [f"given['condition'] = draw.random((5, {size}), dtype=np.float32)  # yours"]
    return "\n".join([*lines, f"(new,) = files['{last}'].run(None, given)  # (5, c, h, w)"])
