"""The help of every option makes sense alone, and comes without torch."""

import contextlib
import inspect
import io
import re
import subprocess
import sys
import typing

import pytest

from latentia.cli.arguments import list_docs, list_parameters, make_options, read_hints
from latentia.cli.main import COMMANDS, main
from latentia.cli.train_arguments import parse_train_arguments, run_options
from latentia.runs import recipes
from latentia.runs.modifiers import load_modifiers
from latentia.training.plan import Options

OWNERS = {
    **{name: each for name, each in COMMANDS.items() if name != "train"},
    "train": run_options,
    "options": Options,
    **{f"--{name}": modifier for name, modifier in load_modifiers().items()},
    **{name: recipes.find_recipe(name) for name in recipes.list_recipes()},
}
START = re.compile(r"(?!of |in |at |with |for |to |it |its |the same)([a-z0-9.][\w./:-]*)[ ,]")
PLACES = {
    "RUN": ("run", "runs", "autoencoder"),
    "IMAGE": ("image", "images", "track"),
    "FILE": ("labels",),
    "DATA": ("data",),
}


def metavar_of(owner, name):
    hint = typing.get_type_hints(make_options(owner, [name]), include_extras=True)[name]
    return next(mark.metavar for mark in hint.__metadata__ if hasattr(mark, "metavar"))


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_the_help_of_an_option_makes_sense_alone(owner):
    hints = read_hints(owner)
    for name in list_parameters(owner):
        text, *others = list_docs(hints[name])
        assert not others, name
        assert START.match(text), text
        assert not re.search(r"[.,;:]$|\bNone\b(?! turns)|default: |  ", text), text
        assert len(text.split()) > 3, text


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_an_option_says_what_word_it_takes(owner):
    for name in list_parameters(owner):
        default = inspect.signature(owner).parameters[name].default
        metavar = metavar_of(owner, name)
        assert isinstance(default, bool) or metavar, name
        assert not re.search(r"\b(STR|INT|PATH|TEXT|None)\b", metavar or ""), (name, metavar)
        for word, names in PLACES.items():
            if name in names and owner not in (run_options, COMMANDS["fit"]):  # of a new run
                assert word in metavar, (name, metavar)
        if name == "out" or (name == "run" and owner is run_options):
            assert metavar in ("FILE", "DIR"), (name, metavar)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_no_python(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    words = [command, "mnist_conv_vae", "--help"] if command == "train" else [command, "--help"]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    text = output.getvalue()
    assert text.startswith(f"usage: latentia {command}")
    assert not re.search(r"\{None|default: None|\bSTR\b|\bTEXT\b|Parameters|inspect", text), text


def test_help_of_commands_comes_without_torch():
    code = (
        "import sys\n"
        "from latentia.cli.main import COMMANDS, main\n"
        "for command in COMMANDS:\n"
        "    try:\n"
        "        main([command, '--help'])\n"
        "    except SystemExit as stop:\n"
        "        assert stop.code == 0, command\n"
        "    assert 'torch' not in sys.modules, command\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("recipe", recipes.list_recipes())
def test_options_that_are_left_out_have_their_defaults(recipe):
    """The parser gets the others alone, which is quicker."""
    arguments = parse_train_arguments(recipe, ["--seed", "3", "--no-skip-unreadable"])
    assert arguments.options == Options(seed=3)
    parameters = inspect.signature(recipes.find_recipe(recipe)).parameters
    assert arguments.parameters == {name: each.default for name, each in parameters.items()}
    assert (arguments.run, arguments.minutes, arguments.profile) == (None, None, False)
    assert arguments.modifiers == {}
