"""The command that writes a run in the formats of other programs."""

import importlib
from pathlib import Path
from typing import Annotated

from typing_extensions import Doc

from latentia.commands.flags import AtBeta, RunFolder
from latentia.core.errors import Error

FORMATS = {  # name, also of the module in latentia.export that writes it -> what it needs
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "diffusers": (),  # an image_autoencoder; their package is needed only where it is loaded
}


def export(
    run: RunFolder,
    to: Annotated[str, Doc(f"format: {', '.join(FORMATS)}")] = "onnx",
    beta: AtBeta = None,
    data: Annotated[str | None, Doc("of diffusers: where the run's images are now")] = None,
    out: Annotated[str | None, Doc("folder to write; default: RUN-FORMAT")] = None,
) -> None:
    """Write a run's model for other programs, compared with PyTorch first."""
    from latentia.runs.open import open_run
    from latentia.training.parameter_types import nearest

    if to not in FORMATS:
        near = nearest(to, FORMATS, " did you mean {}?")
        raise Error(f"There is no format {to};{near} --to is one of {', '.join(FORMATS)}.")
    opened = open_run(run).with_beta(beta)
    try:
        for package in FORMATS[to]:
            importlib.import_module(package)
    except ModuleNotFoundError as missing:
        raise Error(
            f'--to {to} needs {missing.name}, of the extra export: pip install "latentia[export]".'
        ) from None
    at = "" if beta is None else f"-beta{beta:g}"
    home = opened.path.name if run.startswith("hub:") else opened.path  # not into the cache
    path = Path(out or f"{home}{at}-{to}")
    how = {"data": data} if to == "diffusers" else {}
    try:
        importlib.import_module(f"latentia.export.{to}").write(opened, path, **how)
    except OSError as problem:
        raise Error(
            f"{path} cannot be written ({problem.strerror}); give another folder with --out."
        ) from None
    print(path)
