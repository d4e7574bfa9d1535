"""What a terminal shows can be copied from it."""

import io
from pathlib import Path

from rich.console import Console

from latentia.engine.log import Finding, Finished
from latentia.engine.run import Run
from latentia.show import _bar

COMMAND = f"latentia train conv_vae --data '/photos [2024]' --run runs/{'long-' * 30}beta1"


def test_a_terminal_cuts_no_command_and_reads_none_as_markup():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60)
    events = iter([Finding(1, "collapse", "Seen.", cure=(COMMAND,)), Finished(1, 1, "complete")])
    _bar(console, Run(Path("run[x]"), {}), events)
    assert COMMAND in screen.getvalue()
    assert "run[x]" in screen.getvalue()
