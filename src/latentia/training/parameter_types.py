"""The knobs that recipes have in common, each with its meaning and range; and the range check."""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt
from typing_extensions import Doc

from latentia.core.errors import Error


class Metavar(NamedTuple):
    """The word that stands for a parameter's value in --help, where its type says too little."""

    text: str


Data = Annotated[
    Any,
    Metavar("DATA"),
    Doc(
        "images to train on: digits, mnist, fashion_mnist, cifar10, vehicles, sprites, speckle, "
        "hub:OWNER/NAME, a folder, or a .parquet, .npy or .npz file; with --stream also .tar files "
        "and URLs"
    ),
]
Autoencoder = Annotated[
    Any,
    Metavar("RUN"),
    Doc("run of a VAE or VAE-GAN whose latents are to be learned, or diffusers:DIR; required"),
]
PathName = Annotated[
    Literal["linear", "variance-preserving"],
    Doc("path from data to noise: linear for flow matching, variance-preserving for diffusion"),
]
Size = Annotated[
    int | str | None,
    Metavar("SIZE"),
    Doc(
        "height and width of the images in pixels: 64, or 64x48 (height first); the default is "
        "their own size, if all have the same"
    ),
]
Channels = Annotated[
    int | None,
    Ge(1),
    Doc("number of colour channels, 1 for grey or 3 for colour; the default is the images' own"),
]
Latent = Annotated[int, Ge(1), Doc("number of latent dimensions, at least 1")]
Hidden = Annotated[int, Ge(1), Doc("number of units in each hidden layer, at least 1")]
Beta = Annotated[
    float,
    Ge(0),
    Doc("weight of the rate (KL) in the loss, at least 0; 1 gives the negative ELBO"),
]
LearningRate = Annotated[float, Gt(0), Doc("highest learning rate of the schedule, more than 0")]
BatchSize = Annotated[int, Ge(1), Doc("number of images in each training step, at least 1")]
Epochs = Annotated[int, Ge(1), Doc("number of passes over the training images, at least 1")]
Average = Annotated[
    float | None,
    Ge(1),
    Doc(
        "half-life of the moving average of the weights, as a number of images; None uses the last "
        "weights instead of the average"
    ),
]
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
            flag, wanted = name.replace("_", "-"), " or ".join(describe_types(hint))
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


def nearest(given: str, known: Iterable[str], text: str) -> str:
    """`text` filled with the known name that is nearest to the given one, or nothing."""
    found = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return text.format(found[0]) if found else ""


def _bounds(hint: Any) -> list[BaseMetadata]:
    found = [m for m in getattr(hint, "__metadata__", ()) if type(m) in BOUNDS]
    if get_origin(hint) is Annotated:
        return found
    return [b for part in get_args(hint) for b in _bounds(part)]


def list_types(hint: Any) -> list[Any]:
    """The types of a hint, without annotations: Annotated[int | None, ...] is int and None."""
    if get_origin(hint) is Annotated:
        return list_types(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [each for part in get_args(hint) for each in list_types(part)]
    return [hint]


def _fits(hint: Any, value: Any) -> bool:
    for kind in list_types(hint):
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


def describe_types(hint: Any) -> list[str]:
    """A hint in words."""
    words = {int: "a whole number", float: "a number", str: "a word", bool: "True or False"}
    found = []
    for kind in list_types(hint):
        if get_origin(kind) is Literal:
            found.append(f"one of {', '.join(map(str, get_args(kind)))}")
        else:
            found.append("None" if kind is type(None) else words.get(kind, str(kind)))
    return found


def _limit(bound: Any) -> Any:
    return getattr(bound, type(bound).__name__.lower())


def _holds(bound: Any, value: float) -> bool:
    limit = _limit(bound)
    checks = {Ge: value >= limit, Gt: value > limit, Le: value <= limit, Lt: value < limit}
    return checks[type(bound)]
