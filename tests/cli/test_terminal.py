"""What a terminal shows can be copied from it."""

import io
import shlex
import sys
from pathlib import Path

import pytest
from rich.console import Console

from latentia.api.progress import render_events
from latentia.cli.tables import print_beta_choice, print_metrics
from latentia.cli.terminal import show_training
from latentia.core.progress import Display, TerminalBar
from latentia.metrics.beta_choice import BetaChoice, Candidate
from latentia.metrics.result import MetricResult, MetricTable
from latentia.runs.folder import RunFolder
from latentia.training.events import Finding, StepLogged, TrainingFinished, ValidationFinished

COMMAND = f"latentia train conv_vae --data '/photos [2024]' --run runs/{'long-' * 30}beta1"


def test_a_terminal_cuts_no_command_and_reads_none_as_markup():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60)
    finding = Finding(1, "collapse", "Seen.", suggested_commands=(COMMAND,))
    events = iter([finding, TrainingFinished(1, 1, "complete")])
    bar = TerminalBar("run[x]", console)
    render_events(bar, events)
    bar.close()
    assert COMMAND in screen.getvalue()
    assert "run[x]" in screen.getvalue()


def test_a_table_reads_no_name_as_markup(capsys):
    result = MetricResult("fd", 1.0, None, 3, "test", features="of [a]")
    print_metrics("photos [2024]", MetricTable([result]))
    output = capsys.readouterr().out
    assert "photos [2024]" in output
    assert "of [a]" in output


@pytest.mark.parametrize("player", ["refiner", "generator"])
def test_progress_leaves_out_the_terms_of_the_sharpener(player, capsys):
    terms = {"vae": {"rate": 9.0}, "critic": {"real": 0.7}, player: {"error": 3.0}}
    players = {name: {"terms": values} for name, values in terms.items()}
    logged = StepLogged(1, 2, 1, 16, players, {})
    display = Display("r", file=sys.stdout)
    render_events(display, iter([logged, TrainingFinished(2, 2, "complete")]))
    sharpener = "" if player == "refiner" else "  real 0.70  error 3.00"
    assert f"rate 9.00{sharpener} nats" in capsys.readouterr().out


def test_what_is_said_keeps_its_order_and_is_said_once(capsys):
    """Epochs pass faster than they are told; the last stands before what was found at its end."""
    epochs = [ValidationFinished(k, k, {"nelbo": 9.0 - k}, 1, True) for k in (1, 2, 3)]
    more, less = ("latentia train more",), ("latentia train b1",)
    few = Finding(3, "few steps", "there are 3.", "WARNING", "Too few.", "", {}, more)
    low = Finding(1, "collapse", "rate 0.2.", "WARNING", "It ignores them.", "", {}, less)
    findings = [few, low, few, low._replace(text="rate 0.1.")]
    render_events(
        Display("r", file=sys.stdout),
        iter(
            [
                *epochs[:2],
                *findings[:2],
                epochs[2],
                *findings[2:],
                TrainingFinished(3, 3, "complete"),
            ]
        ),
    )
    lines = capsys.readouterr().out.splitlines()
    printed = [line.split(":")[0] for line in lines if "latentia" not in line and "Too" not in line]
    assert [line for line in printed if "ignores" not in line] == [
        "epoch 1  validation (1 image, beta 1)",
        "epoch 2  validation (1 image, beta 1)",
        "WARNING few steps",
        "WARNING collapse",
        "epoch 3  validation (1 image, beta 1)",
        "WARNING collapse",
    ]
    assert lines[-1] == "WARNING collapse: rate 0.1."  # its cure and meaning are known
    assert [sum(cure in line for line in lines) for cure in ("more", "b1")] == [1, 1]


def test_printed_commands_can_be_pasted_though_a_folder_has_a_blank(capsys):
    about = {"images": {"source": "x", "shape": (1, 2, 2), "count": {}}}
    run = RunFolder(Path("my runs/of 2024"), about, beta=2.0)

    def interrupted():
        raise KeyboardInterrupt
        yield

    assert show_training(run, interrupted()) == 130
    assert show_training(run, iter([TrainingFinished(1, 2, "stopped")])) == 130
    best = Candidate(2.0, 1.0, None)
    print_beta_choice(BetaChoice("sampling", "", "", "test", 1, best, [best]), [run], run)
    printed = [
        shlex.split(each) for each in capsys.readouterr().out.splitlines() if "latentia" in each
    ]
    resume = ["latentia", "resume", "my runs/of 2024"]
    assert printed == [resume, resume, ["latentia", "sample", resume[2], "--beta", "2"]]
