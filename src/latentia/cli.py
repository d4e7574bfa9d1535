"""The `latentia` command. Torch is imported only by commands that need it."""

import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated, get_type_hints

import tyro
from typing_extensions import Doc
from tyro.conf import Positional

from latentia.commands.choice import choose, sweep
from latentia.commands.coordinates import (
    attribute,
    decode,
    encode,
    interpolate,
    nearest,
    relate,
    traverse,
)
from latentia.commands.evaluate import evaluate
from latentia.commands.examination import doctor
from latentia.commands.explore import explore
from latentia.commands.export import export
from latentia.commands.flags import WHICH, AtBeta, Data, Number, Out, RunFolder, Seed, SplitName
from latentia.commands.push import push
from latentia.core.errors import Error


def recipes() -> None:
    """List the recipes: what each reproduces, its default data, what to expect."""
    from latentia.engine.recipe import card, names

    for name in names():
        recipe = card(name)
        default = f"--data {recipe.data}" if recipe.data else "--autoencoder RUN"
        print(f"{name}  ({default})\n    {recipe.summary}")
        for line in recipe.about.splitlines():
            print(f"    {line.strip()}".rstrip())
        print()
    print("latentia train RECIPE --help shows a recipe's knobs; my.py:mine trains your own.")


def train(words: list[str]) -> int:
    """Train a recipe: latentia train RECIPE [--run DIR] [--data SRC] [--knob value ...]."""
    from latentia.engine.recipe import names

    if not words or words[0].startswith("-"):
        known = ", ".join(names())
        usage = (
            "latentia train RECIPE [--run DIR] [--data SRC] [--knob value ...]; "
            f"latentia train RECIPE --help shows its knobs; recipes: {known}."
        )
        if words and words[0] in ("-h", "--help"):
            print(usage)
            return 0
        raise Error(f"No recipe was named: {usage}")
    name, given = words[0], words[1:]
    from latentia.words import parse_train

    run, profile, knobs, options, edits = parse_train(name, given)
    from latentia.engine.device import keep_memory
    from latentia.engine.launch import together
    from latentia.session import start
    from latentia.show import show

    if profile:  # its library says that it starts and stops, as what is graver than an error
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with together():
        begun = start(name, knobs, edits=edits, options=options, run=run, profile=profile)
        keep_memory()
        return show(*begun)


def resume(run: RunFolder, data: Data = None) -> int:
    """Go on with a run that was stopped; the result is as if it had not been."""
    from latentia.core import processes
    from latentia.engine.device import keep_memory
    from latentia.engine.launch import together
    from latentia.session import go_on
    from latentia.show import finished, show

    with together():
        opened, events = go_on(run, data)
        keep_memory()
        if processes.rank() == 0:
            finished(opened)
        for line in opened.differences() if processes.rank() == 0 else ():
            print(f"Not as when this run began, so bits may differ: {line}.", file=sys.stderr)
        return show(opened, events)


def sample(
    run: RunFolder,
    n: Number = 64,
    seed: Seed = 0,
    cond: Annotated[
        str | None,
        Doc(
            "what to draw: classes (3 or 3,5 or names), or an image file or number of a test image"
        ),
    ] = None,
    sampler: Annotated[str | None, Doc("of a learned prior: ddpm, ddim, euler, heun")] = None,
    steps: Annotated[int | None, Doc("of a learned prior, from noise to latent")] = None,
    guidance: Annotated[
        float | None, Doc("of a learned prior: weight of the condition, 1 as learned")
    ] = None,
    data: Annotated[str | None, Doc("where --cond takes its index; default: the run's own")] = None,
    beta: AtBeta = None,
    out: Out = "samples.png",
) -> None:
    """Draw new images."""
    from latentia.engine.run import Run
    from latentia.report.pictures import ending, put
    from latentia.report.sheets import sampled

    ending(out, ".png", ".npy")
    if n < 1:
        raise Error(f"-n is {n}; it must be at least 1.")
    opened = Run.open(run).at(beta)
    wanted = {"sampler": sampler, "steps": steps, "guidance": guidance}
    chosen = {k: v for k, v in wanted.items() if v is not None}
    print(put(out, sampled(opened, opened.model(), n, seed, chosen, cond, data).kinds))


def reconstruct(
    run: RunFolder,
    images: Annotated[
        Positional[tuple[str, ...]], Doc(f"of each: {WHICH}; default: first n of the split")
    ] = (),
    data: Data = None,
    split: SplitName = None,
    n: Number = 10,
    beta: AtBeta = None,
    out: Out = "pairs.png",
) -> None:
    """Originals above their reconstructions (decoded posterior means)."""
    import torch

    from latentia.engine.run import Run
    from latentia.report.pictures import ending, put
    from latentia.report.sheets import reconstructed

    ending(out, ".png", ".npy")
    if n < 1:
        raise Error(f"-n is {n}; it must be at least 1.")
    opened = Run.open(run).at(beta)
    model = opened.coder()
    if images:
        given = torch.cat([opened.image(name, split, data) for name in images])
        what = "images"
    else:
        part = opened.part(split, data)
        given, what = part.batch(slice(0, n)).image, f"{part.name} images"
    print(put(out, reconstructed(opened, model, given, what).kinds))


def report(
    run: RunFolder, data: Annotated[str | None, Doc("where the run's images are now")] = None
) -> None:
    """Write report.html anew."""
    from latentia.doctor.examine import examine
    from latentia.engine.run import Run
    from latentia.report.page import write_report

    opened = Run.open(run)
    images = opened.images(data, same=True)
    print(write_report(opened, images, examine(opened, images).findings))


COMMANDS: dict[str, Callable] = {
    function.__name__: function
    for function in (
        recipes,
        train,
        resume,
        sweep,
        sample,
        reconstruct,
        evaluate,
        choose,
        doctor,
        report,
        encode,
        relate,
        traverse,
        interpolate,
        nearest,
        decode,
        attribute,
        explore,
        export,
        push,
    )
}


def main(words: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a run that ended early, 2 something to put right, 130 interrupted."""
    words = sys.argv[1:] if words is None else words
    # Threads that wait spin; beside other work on the same cores that costs up to two thirds of
    # the speed. OpenMP reads this once, when torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(version("latentia"))
        return 0
    try:
        return _dispatch(words[0], words[1:]) or 0
    except Error as problem:
        if problem.alone or os.environ.get("RANK", "0") == "0":
            # in one piece: print writes the line's end apart, and another process between
            sys.stderr.write(f"{problem}\n")
        return problem.code
    except BrokenPipeError:  # `| head` has read enough; nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _dispatch(name: str, words: list[str]) -> int | None:
    from latentia.engine.knobs import nearest, refuse_unknown, refuse_unreadable

    if name not in COMMANDS:
        near = nearest(name, COMMANDS, " did you mean {}?")
        raise Error(f"There is no command {name};{near} The commands are {', '.join(COMMANDS)}.")
    if name in ("train", "sweep"):  # their flags are the recipe's
        return COMMANDS[name](words)
    function = COMMANDS[name]
    known = [p.rstrip("_") for p in inspect.signature(function).parameters]
    refuse_unknown(f"latentia {name}", words, known)
    refuse_unreadable(words, get_type_hints(function, include_extras=True))
    return tyro.cli(function, prog=f"latentia {name}", args=words, use_underscores=False)


def _help() -> str:
    lines = ["latentia learns the hidden variables of a set of images and draws new ones.", ""]
    width = max(map(len, COMMANDS))
    for name, function in COMMANDS.items():
        lines.append(f"  {name:<{width}}  {(inspect.getdoc(function) or '').splitlines()[0]}")
    return "\n".join([*lines, "", "latentia COMMAND --help says more."])
