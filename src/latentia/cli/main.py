"""Entry point of the `latentia` command: the list of commands, dispatch and exit codes."""

import inspect
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from io import TextIOWrapper
from types import SimpleNamespace

from latentia.cli.doctor_commands import doctor
from latentia.cli.encode_commands import encode
from latentia.cli.evaluate_commands import evaluate
from latentia.cli.explore_commands import explore
from latentia.cli.fit_commands import fit
from latentia.cli.image_commands import IMAGE_COMMANDS
from latentia.cli.info_commands import env, recipes
from latentia.cli.latent_commands import LATENT_COMMANDS
from latentia.cli.search_commands import choose, sweep
from latentia.cli.sharing_commands import export, push, report
from latentia.cli.train_commands import resume, train
from latentia.core.errors import ADVICE, Error, summarize_exception
from latentia.core.plugins import load_plugin, set_trust
from latentia.core.text import suggest_name

GROUPS: tuple[tuple[Callable, ...], ...] = (
    (recipes, fit, train, resume, sweep, *IMAGE_COMMANDS, evaluate, choose, doctor, report),
    (encode, *LATENT_COMMANDS),
    (explore, export, push, env),
)
TRUST = "--trust-recipe"  # which every command takes
OUT_OF_MEMORY = re.compile("can't allocate memory|not enough memory|out of memory", re.IGNORECASE)
COMMANDS: dict[str, Callable] = {command.__name__: command for group in GROUPS for command in group}


def main(words: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: complete, 1: a run ended early, 2: a mistake of the user, 130: interrupted.
    """
    words = sys.argv[1:] if words is None else words
    for stream in (sys.stdout, sys.stderr):  # a pipe of Windows has few characters
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # Idle threads of OpenMP spin, which costs up to two thirds of the speed when other programs use
    # the same cores. OpenMP reads this once, when torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ["MPLBACKEND"] = "agg"  # figures are files; matplotlib fails at a name it lacks
    files, words = _split_plugins(words)
    set_trust(TRUST in words)
    words = [word for word in words if word != TRUST]
    if not words or words[0] in ("-h", "--help"):
        print(_format_help())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(version("latentia"))
        return 0
    try:
        for file in files:
            load_plugin(file)
        return _dispatch(words[0], words[1:]) or 0
    except Error as problem:
        has_launcher = os.environ.get("WORLD_SIZE", "").isdecimal()
        if problem.rank_local or not has_launcher or os.environ.get("RANK", "0") == "0":
            # one write: print writes the end of the line separately, after other processes' text
            sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    except BrokenPipeError:  # `| head` has ended; without a pipe the flush at exit cannot fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as problem:
        if problem.errno not in ADVICE and problem.filename is None:
            raise
        place = str(problem.filename or "The output")[:200]
        advice = ADVICE.get(problem.errno or 0, "give another path")
        sys.stderr.write(f"{place} cannot be used ({problem.strerror}); {advice}.\n")
        return 2
    except (MemoryError, RuntimeError) as problem:
        if "home directory" in str(problem):
            sys.stderr.write("A path begins with ~ and the name of no user; give the whole path.\n")
            return 2
        if not isinstance(problem, MemoryError) and not OUT_OF_MEMORY.search(str(problem)):
            raise
        reason = summarize_exception(problem)
        advice = "give a smaller -n, --batch, --size or model."
        print(f"There is not enough memory ({reason}); {advice}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; give the same command again.", file=sys.stderr)
        return 130


def _split_plugins(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the files of --plugin, which every command takes, and the other words."""
    files, rest, left = [], [], iter(words)
    for word in left:
        if word == "--plugin":
            files.append(next(left, ""))
        elif word.startswith("--plugin="):
            files.append(word.partition("=")[2])
        else:
            rest.append(word)
    return files, rest


def _dispatch(name: str, words: list[str]) -> int | None:
    if name not in COMMANDS:
        suggestion = suggest_name(name, COMMANDS, " did you mean {}? The") or " the"
        raise Error(f"There is no command {name};{suggestion} commands are {', '.join(COMMANDS)}.")
    command = COMMANDS[name]
    if command is train:  # its options depend on the recipe
        return command(words)
    # imports annotated_types, which takes a tenth of the time of `latentia --help`
    from latentia.cli.arguments import parse_arguments, parse_known_arguments

    if command in (sweep, fit):  # they take the options of a recipe too
        values, rest = parse_known_arguments(command, f"latentia {name}", words)
        return find_action(command)(SimpleNamespace(**values), rest, words)
    values = parse_arguments(command, words)
    return find_action(command)(SimpleNamespace(**values))


def find_action(command: Callable) -> Callable:
    """Import the function that does a command's work; its file needs torch, which --help does not.

    `traverse` of latent_commands.py, a signature with help, has `traverse` of latent_actions.py.
    """
    module = command.__module__.removesuffix("_commands")
    return getattr(import_module(f"{module}_actions"), command.__name__)


def _format_help() -> str:
    lines = ["latentia learns the hidden variables of a set of images and draws new ones.", ""]
    width = max(map(len, COMMANDS))
    for name, function in COMMANDS.items():
        lines.append(f"  {name:<{width}}  {(inspect.getdoc(function) or '').splitlines()[0]}")
    lines += ["", "latentia COMMAND --help shows the options of a command."]
    lines += ["latentia COMMAND --plugin my.py loads recipes, metrics and more of your own."]
    lines += [f"latentia COMMAND {TRUST} executes the recipe file that an opened run names."]
    return "\n".join(lines)
