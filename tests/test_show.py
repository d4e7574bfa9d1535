"""What a terminal shows can be copied from it."""

import io
from pathlib import Path

from rich.console import Console

from latentia.engine.log import Finding, Finished
from latentia.engine.run import Run
from latentia.show import _bar, figures

COMMAND = f"latentia train conv_vae --data '/photos [2024]' --run runs/{'long-' * 30}beta1"


def test_a_terminal_cuts_no_command_and_reads_none_as_markup():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60)
    events = iter([Finding(1, "collapse", "Seen.", cure=(COMMAND,)), Finished(1, 1, "complete")])
    _bar(console, Run(Path("run[x]"), {}), events)
    assert COMMAND in screen.getvalue()
    assert "run[x]" in screen.getvalue()


def test_a_table_reads_no_name_as_markup(capsys):
    row = {"name": "fd", "value": 1.0, "error": None, "n": 3, "unit": "", "features": "of [a]"}
    figures("photos [2024]", {"fd": [row | {"note": ""}]})
    shown = capsys.readouterr().out
    assert "photos [2024]" in shown
    assert "of [a]" in shown
