"""Export of a run to the formats of other programs."""

import importlib
from pathlib import Path
from types import SimpleNamespace

from latentia.core.errors import Error
from latentia.core.text import suggest_name
from latentia.runs.open import open_run

# required packages by format, which is also the name of the module in latentia.export
FORMATS = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "diffusers": ()}


def export(args: SimpleNamespace) -> None:
    to = args.to
    if to not in FORMATS:
        suggestion = suggest_name(to, FORMATS, " did you mean {}?")
        raise Error(f"There is no format {to};{suggestion} --to is one of {', '.join(FORMATS)}.")
    run = open_run(args.run).with_beta(args.beta)
    try:
        for package in FORMATS[to]:
            importlib.import_module(package)
    except ModuleNotFoundError as missing:
        package = f'{missing.name}, of the extra export: pip install "latentia[export]"'
        raise Error(f"--to {to} needs {package}.") from None
    suffix = "" if args.beta is None else f"-beta{args.beta:g}"
    # a downloaded run lies in a cache, where no user would look for the export
    stem = run.path.name if args.run.startswith("hub:") else run.path
    path = Path(args.out or f"{stem}{suffix}-{to}")
    options = {"data": args.data} if to == "diffusers" else {}
    try:
        importlib.import_module(f"latentia.export.{to}").export_run(run, path, **options)
    except OSError as problem:
        text = f"{path} cannot be written ({problem.strerror}); give another folder with --out."
        raise Error(text) from None
    print(path)
