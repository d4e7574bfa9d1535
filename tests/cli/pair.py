"""Run by two processes that know of each other: commands of latentia, and what each of them said.

commands.json in the given folder: a list of commands, each a list of words. What a process says of
a command goes to NUMBER-RANK.json there. For each command they meet anew, at a port of its own.
"""

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.metrics import builtin
from latentia.runs.folder import RunFolder

open_folder = RunFolder.open


def open_visible(path):
    """As where one machine does not see what another one does."""
    if path == "nowhere" and os.environ["RANK"] == "1":
        raise Error("Not visible here.")
    return open_folder(path)


def run_command(words):
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main(words)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    folder, ports = Path(sys.argv[1]), sys.argv[2:]
    RunFolder.open = open_visible
    builtin.estimate_frechet_distance = partial(builtin.estimate_frechet_distance, resamples=3)
    commands = json.loads((folder / "commands.json").read_text())
    for number, (words, port) in enumerate(zip(commands, ports, strict=True)):
        os.environ["MASTER_PORT"] = port
        said = json.dumps(run_command(words))
        (folder / f"{number}-{os.environ['RANK']}.json").write_text(said)
