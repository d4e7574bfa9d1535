"""The knobs that recipes have in common, each with its meaning and range; and the range check."""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt
from typing_extensions import Doc

from latentia.core.errors import Error

Data = Annotated[
    Any,
    Doc(
        "digits, mnist, fashion_mnist, cifar10, hub:OWNER/NAME, a folder, .parquet, .npy or .npz;"
        " with --stream also .tar and URLs"
    ),
]
Autoencoder = Annotated[Any, Doc("run whose latents are learned, or diffusers:FOLDER")]
PathName = Annotated[
    Literal["linear", "variance-preserving"], Doc("flow matching, or noise prediction")
]
Size = Annotated[
    int | str | None, Doc("height and width: 64, or 64x48; default: the images' own common size")
]
Channels = Annotated[int | None, Ge(1), Doc("1 grey, 3 colour; default: the images' own")]
Latent = Annotated[int, Ge(1), Doc("latent dimensions")]
Hidden = Annotated[int, Ge(1), Doc("width of the hidden layer")]
Beta = Annotated[float, Ge(0), Doc("weight of the rate; 1 is the negative ELBO")]
LearningRate = Annotated[float, Gt(0), Doc("learning rate")]
BatchSize = Annotated[int, Ge(1), Doc("images a step")]
Epochs = Annotated[int, Ge(1), Doc("passes over the training images")]
Average = Annotated[float | None, Ge(1), Doc("half-life of the averaged weights, images")]
Share = Annotated[float, Ge(0), Le(1)]

BOUNDS = {Ge: "at least {}", Gt: "more than {}", Le: "at most {}", Lt: "less than {}"}


def check(owner: str, function: Callable, arguments: Mapping[str, Any]) -> None:
    """Names and ranges of arguments against the function's signature.

    Raises: Error that names the knob, what was given and what is allowed.
    """
    hints = get_type_hints(function, include_extras=True)
    known = [name for name in inspect.signature(function).parameters if name != "plan"]
    for name, value in arguments.items():
        if name not in known:
            raise Error(unknown_knob(owner, name, known))
        hint = hints.get(name, Any)
        if not _fits(hint, value):
            flag, wanted = name.replace("_", "-"), " or ".join(_kinds(hint))
            raise Error(f"--{flag} is {value!r}; it must be {wanted}.")
        bounds = _bounds(hint)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number:
            continue
        allowed = " and ".join(BOUNDS[type(b)].format(_limit(b)) for b in bounds)
        broken = not math.isfinite(value) or any(not _holds(b, value) for b in bounds)
        if broken:
            flag = name.replace("_", "-")
            raise Error(f"--{flag} is {value}; it must be {allowed or 'a finite number'}.")


def unknown_knob(owner: str, name: str, known: Iterable[str]) -> str:
    known = [each.replace("_", "-") for each in known]
    near = nearest(name.replace("_", "-"), known, " did you mean --{}?")
    given = name.replace("_", "-")
    its = f"{near} Its" if near else " its"
    return f"{owner} has no knob --{given};{its} knobs: {', '.join(known)}."


def refuse_unknown(owner: str, words: list[str], known: list[str]) -> None:
    for word in words:
        name = word[2:].partition("=")[0].replace("-", "_")
        if word.startswith("--") and name.removeprefix("no_") not in [*known, "help"]:
            raise Error(unknown_knob(owner, name, known))


def refuse_unreadable(words: list[str], hints: Mapping[str, Any]) -> None:
    """Raises: Error for a flag that takes numbers or names of its own, and is given another word.

    hints: of each flag, by its name in Python; flags of other types are left to the parser.
    """
    for word, after in zip(words, [*words, ""][1:], strict=True):
        flag, same, value = word.partition("=")
        hint = hints.get(flag.removeprefix("--").replace("-", "_")) if flag[:2] == "--" else None
        kinds = _alternatives(hint)
        own = [k for k in kinds if k in (int, float, type(None)) or get_origin(k) is Literal]
        value = value if same else after
        if own == kinds and not any(_reads(kind, value) for kind in kinds):
            wanted = " or ".join(_kinds(hint)).removesuffix(" or None")
            about = next((f" ({each.documentation})" for each in _docs(hint)), "")
            given = f"is {value}" if value else "has no value"
            raise Error(f"{flag} {given}; it must be {wanted}{about}.")


def nearest(given: str, known: Iterable[str], text: str) -> str:
    """`text` filled with the known name that is nearest to the given one, or nothing."""
    found = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return text.format(found[0]) if found else ""


def _bounds(hint: Any) -> list[BaseMetadata]:
    found = [m for m in getattr(hint, "__metadata__", ()) if type(m) in BOUNDS]
    if get_origin(hint) is Annotated:
        return found
    return [b for part in get_args(hint) for b in _bounds(part)]


def _alternatives(hint: Any) -> list[Any]:
    """The types of a hint, without annotations: Annotated[int | None, ...] is int and None."""
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [each for part in get_args(hint) for each in _alternatives(part)]
    return [hint]


def _fits(hint: Any, value: Any) -> bool:
    for kind in _alternatives(hint):
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                return True
        elif kind is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return True
        elif kind is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return True
        elif kind is Any or not isinstance(kind, type) or isinstance(value, kind):
            return True
    return False


def _reads(kind: Any, word: str) -> bool:
    """Whether a word can be taken for it."""
    if kind in (int, float):
        try:
            kind(word)
        except ValueError:
            return False
        return True
    return word in (["None"] if kind is type(None) else [str(each) for each in get_args(kind)])


def _docs(hint: Any) -> list[Doc]:
    found = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Doc)]
    return found + [each for part in get_args(hint) for each in _docs(part)]


def _kinds(hint: Any) -> list[str]:
    """A hint in words."""
    words = {int: "a whole number", float: "a number", str: "a word", bool: "True or False"}
    said = []
    for kind in _alternatives(hint):
        if get_origin(kind) is Literal:
            said.append(f"one of {', '.join(map(str, get_args(kind)))}")
        else:
            said.append("None" if kind is type(None) else words.get(kind, str(kind)))
    return said


def _limit(bound: Any) -> Any:
    return getattr(bound, type(bound).__name__.lower())


def _holds(bound: Any, value: float) -> bool:
    limit = _limit(bound)
    checks = {Ge: value >= limit, Gt: value > limit, Le: value <= limit, Lt: value < limit}
    return checks[type(bound)]
