"""The words of `latentia train`: a recipe's knobs, the engine's options and the edits' flags."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Optional, get_args, get_origin, get_type_hints

import tyro
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.runs import modifiers
from latentia.runs.recipes import find_recipe
from latentia.training.parameter_types import check, refuse_unknown, refuse_unreadable
from latentia.training.plan import Options


def parse_train(name: str, words: list[str]) -> tuple:
    """The words after the recipe: the run, whether to profile, knobs, options and edits' flags."""
    function = find_recipe(name)
    groups: dict[str, type] = {  # in --help: "recipe options", "engine options", "iwae options"
        "recipe": _fields(f"{name}", function),
        "engine": _fields("options", Options),
    }
    for edit in modifiers.NAMES:
        groups[edit] = _fields(edit, modifiers.find_modifier(edit), switch=edit)
    known = [f.name for group in groups.values() for f in dataclasses.fields(group)]
    for own in inspect.signature(function).parameters:
        if own in ("run", "profile") or known.count(own) > 1:
            raise Error(f"{name} has a knob {own}, which is an option of every recipe; rename it.")
    refuse_unknown(name, words, ["run", *known, "profile"])
    hints = [get_type_hints(group, include_extras=True) for group in groups.values()]
    refuse_unreadable(words, {key: hint for each in hints for key, hint in each.items()})
    command = dataclasses.make_dataclass(
        "Train",
        [
            ("run", Annotated[str | None, Doc("folder to make; default runs/RECIPE")], None),
            ("profile", Annotated[bool, Doc("trace some steps and say where time goes")], False),
            *[(key, tyro.conf.OmitArgPrefixes[group]) for key, group in groups.items()],
        ],
        kw_only=True,
    )
    parsed = tyro.cli(
        command,
        args=words,
        prog=f"latentia train {name}",
        description=inspect.getdoc(function),
        use_underscores=False,
    )
    values = {key: vars(getattr(parsed, key)) for key in groups}
    check("latentia train", Options, values["engine"])
    chosen = {key: values[key] for key in modifiers.NAMES if values[key][key] is not None}
    for key in modifiers.NAMES:
        stray = [f for f in dataclasses.fields(groups[key]) if values[key][f.name] != f.default]
        if key not in chosen and stray:
            flag, switch = (text.replace("_", "-") for text in (stray[0].name, key))
            raise Error(f"--{flag} does nothing without --{switch}; give both or neither.")
    options = Options(**values["engine"])
    return parsed.run, parsed.profile, values["recipe"], options, chosen


def _fields(title: str, function: Callable, switch: str = "") -> type:
    """A dataclass of a signature, for tyro: `switch` is off by default."""
    hints = get_type_hints(function, include_extras=True)
    fields = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "plan":
            continue
        default = parameter.default
        hint = hints.get(name, str if default is None else type(default))
        if get_args(hint) and get_args(hint)[0] is Any:  # data: on the command line, a word
            word = str if default is not None else Optional[str]  # noqa: UP045 (hints are values)
            hint = Annotated[(word, *hint.__metadata__)]
        if name == switch:
            base, *about = get_args(hint) if get_origin(hint) is Annotated else (hint,)
            hint, default = Annotated[(Optional[base], *about)], None  # noqa: UP045 (as above)
        fields.append((name, hint, dataclasses.field(default=default)))
    return dataclasses.make_dataclass(title, fields, kw_only=True)
