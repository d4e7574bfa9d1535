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


DATA = Doc(
    "images to train on: digits, mnist, fashion_mnist, cifar10, vehicles, sprites, speckle, "
    "hub:OWNER/NAME, a folder, .parquet, .npy or .npz file; with --stream also .tar files and URLs"
)
Data = Annotated[Any, Metavar("DATA"), DATA]
AUTOENCODER = Doc("run of a VAE or VAE-GAN whose latents are learned, or diffusers:DIR (required)")
Autoencoder = Annotated[Any, Metavar("RUN"), AUTOENCODER]
PATH = Doc("path from data to noise: linear for flow matching, the other for noise prediction")
PathName = Annotated[Literal["linear", "variance-preserving"], PATH]
SIZE = Doc("height and width in pixels: 64, or 64x48 (height first); by default the images' own")
Size = Annotated[int | str | None, Metavar("SIZE"), SIZE]
CHANNELS = Doc("number of colour channels: 1 for grey, 3 for colour; by default the images' own")
Channels = Annotated[int | None, Ge(1), CHANNELS]
Latent = Annotated[int, Ge(1), Doc("number of latent dimensions, at least 1")]
Hidden = Annotated[int, Ge(1), Doc("number of units in each hidden layer, at least 1")]
BETA = Doc("weight of the rate (KL) in the loss, at least 0; 1 gives the negative ELBO")
Beta = Annotated[float, Ge(0), BETA]
LearningRate = Annotated[float, Gt(0), Doc("highest learning rate of the schedule, more than 0")]
BatchSize = Annotated[int, Ge(1), Doc("number of images in each training step, at least 1")]
Epochs = Annotated[int, Ge(1), Doc("number of passes over the training images, at least 1")]
AVERAGE = Doc("half-life of the moving average of the weights, in images; None turns it off")
Average = Annotated[float | None, Ge(1), AVERAGE]
Fraction = Annotated[float, Ge(0), Le(1)]

BOUNDS = {Ge: "at least {}", Gt: "more than {}", Le: "at most {}", Lt: "less than {}"}


def validate_parameters(owner: str, function: Callable, arguments: Mapping[str, Any]) -> None:
    """Names and ranges of arguments against the function's signature.

    Raises: Error that names the knob, what was given and what is allowed.
    """
    hints = get_type_hints(function, include_extras=True)
    parameter_names = [name for name in inspect.signature(function).parameters if name != "plan"]
    for name, value in arguments.items():
        if name not in parameter_names:
            raise Error(format_unknown_parameter(owner, name, parameter_names))
        hint = hints.get(name, Any)
        if not _matches_type(hint, value):
            flag, expected_types = name.replace("_", "-"), " or ".join(describe_types(hint))
            raise Error(f"--{flag} is {value!r}; it must be {expected_types}.")
        bounds = _collect_bounds(hint)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number:
            continue
        allowed_range = " and ".join(
            BOUNDS[type(bound)].format(_get_limit(bound)) for bound in bounds
        )
        is_out_of_range = not math.isfinite(value) or any(
            not _satisfies_bound(bound, value) for bound in bounds
        )
        if is_out_of_range:
            flag = name.replace("_", "-")
            raise Error(f"--{flag} is {value}; it must be {allowed_range or 'a finite number'}.")


def format_unknown_parameter(owner: str, name: str, parameter_names: Iterable[str]) -> str:
    parameter_names = [parameter_name.replace("_", "-") for parameter_name in parameter_names]
    suggestion = suggest_name(name.replace("_", "-"), parameter_names, " did you mean --{}?")
    option = name.replace("_", "-")
    list_intro = f"{suggestion} Its" if suggestion else " its"
    return f"{owner} has no knob --{option};{list_intro} knobs: {', '.join(parameter_names)}."


def suggest_name(name: str, candidates: Iterable[str], template: str) -> str:
    """`text` filled with the known name that is nearest to the given one, or nothing."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return template.format(matches[0]) if matches else ""


def _collect_bounds(hint: Any) -> list[BaseMetadata]:
    bounds = [m for m in getattr(hint, "__metadata__", ()) if type(m) in BOUNDS]
    if get_origin(hint) is Annotated:
        return bounds
    return [b for argument in get_args(hint) for b in _collect_bounds(argument)]


def list_types(hint: Any) -> list[Any]:
    """The types of a hint, without annotations: Annotated[int | None, ...] is int and None."""
    if get_origin(hint) is Annotated:
        return list_types(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [each for part in get_args(hint) for each in list_types(part)]
    return [hint]


def _matches_type(hint: Any, value: Any) -> bool:
    for member in list_types(hint):
        if get_origin(member) is Literal:
            if value in get_args(member):
                return True
        elif member is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return True
        elif member is int:
            if isinstance(value, int) and not isinstance(value, bool):
                return True
        elif member is Any or not isinstance(member, type) or isinstance(value, member):
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


def _get_limit(bound: Any) -> Any:
    return getattr(bound, type(bound).__name__.lower())


def _satisfies_bound(bound: Any, value: float) -> bool:
    limit = _get_limit(bound)
    checks = {Ge: value >= limit, Gt: value > limit, Le: value <= limit, Lt: value < limit}
    return checks[type(bound)]
