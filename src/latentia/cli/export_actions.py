"""Export of a run's model, behind `latentia export`."""

import importlib
from pathlib import Path

from latentia.cli.options import Inputs
from latentia.core.errors import Error
from latentia.core.text import suggest_name
from latentia.runs.open import open_run

# required packages by format, which is also the name of the module in latentia.export
FORMATS = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "diffusers": ()}


def export_model(inputs: Inputs, to: str) -> None:
    if to not in FORMATS:
        suggestion = suggest_name(to, FORMATS, " did you mean {}?")
        raise Error(f"There is no format {to};{suggestion} --to is one of {', '.join(FORMATS)}.")
    run = open_run(inputs.run).with_beta(inputs.beta)
    try:
        for package in FORMATS[to]:
            importlib.import_module(package)
    except ModuleNotFoundError as missing:
        package = f'{missing.name}, of the extra export: pip install "latentia[export]"'
        raise Error(f"--to {to} needs {package}.") from None
    suffix = "" if inputs.beta is None else f"-beta{inputs.beta:g}"
    # a downloaded run lies in a cache, where no user would look for the export
    stem = run.path.name if inputs.run.startswith("hub:") else run.path
    path = Path(inputs.out or f"{stem}{suffix}-{to}")
    options = {"data": inputs.data} if to == "diffusers" else {}
    try:
        importlib.import_module(f"latentia.export.{to}").export_run(run, path, **options)
    except OSError as problem:
        text = f"{path} cannot be written ({problem.strerror}); give another folder with --out."
        raise Error(text) from None
    print(path)
