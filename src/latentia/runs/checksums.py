"""New checksums of a run's files, which accept an edit by hand."""

import json
from pathlib import Path

from latentia.core.errors import convert_errors
from latentia.runs.folder import AUTOENCODER, RunFolder, resolve_unnamed_path
from latentia.training.checkpoint import read_tensors, write_json, write_tensors
from latentia.training.folder import TrainingFolder
from latentia.training.log import digest_rows

JSON_FILES = ("run.json", "evaluation.json", "diagnosis.json", "choices.json")


def make_checksums(run: str | Path) -> None:
    """Accept the files of a run as they are, and write a new checksum into each.

    Every file of a run holds the SHA-256 of its bytes, which is compared when the file is read: a
    damaged disk or copy is an error, not a wrong result. An edit by hand, for instance of run.json
    after the images have moved, is accepted by this function. A run of an earlier version, which
    has no checksums, gets them.

    Parameters
    ----------
    run : str or Path
        folder of the run, with that of its autoencoder if it has one

    Returns
    -------
    None
        the files are written in their places

    Raises
    ------
    Error
        if the folder is not a run, a file cannot be read or written, or the run is being trained

    Examples
    --------
    >>> import latentia
    >>> latentia.make_checksums("runs/digits")
    >>> latentia.load("runs/digits").name
    'digits'
    """
    folder = resolve_unnamed_path(run)
    with TrainingFolder(folder).hold_lock():
        for each in (folder, folder / AUTOENCODER):
            for path in filter(Path.exists, (each / name for name in JSON_FILES)):
                with convert_errors(lambda reason, path=path: f"{path} holds no JSON ({reason})."):
                    content = json.loads(path.read_bytes())
                write_json(path, {k: v for k, v in content.items() if k != "checksum"})
            for path in each.glob("*.safetensors"):
                tensors, metadata = read_tensors(path, check=False)
                if "log_bytes" in metadata:
                    metadata |= digest_rows(each / "log.jsonl", metadata["log_bytes"])
                write_tensors(path, tensors, metadata)
    RunFolder.open(folder)
