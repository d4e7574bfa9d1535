"""Counts, names and numbers with errors, in sentences and in help."""

import difflib
import math
import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from typing import NamedTuple


def pluralize(count: int, noun: str, plural: str = "") -> str:
    """Return "1 image", "2 images" or "1,000 images"; `plural` defaults to the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def abbreviate_list(names: Sequence[str], limit: int = 10) -> str:
    """Join the first names, and count the rest."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def split_list(text: str, names: Iterable[str]) -> list[str]:
    """Split a list such as "cat,dog" at its commas; a name that holds commas stays whole."""
    names, words, parts = {*names}, text.split(","), []
    most = 1 + max((name.count(",") for name in names), default=0)
    while words:
        candidates = {end: ",".join(words[:end]).strip() for end in range(most, 0, -1)}
        end = next((end for end, part in candidates.items() if part in names), 1)
        parts.append(candidates[end])
        words = words[end:]
    return parts


def list_cuts(text: str, mark: str) -> list[tuple[str, str]]:
    """Return what is before and behind each occurrence of a mark, from the left."""
    places = [k for k, letter in enumerate(text) if letter == mark]
    return [(text[:k], text[k + 1 :]) for k in places]


def suggest_name(name: str, candidates: Iterable[str], template: str) -> str:
    """Fill the template with the candidate most similar to `name`; "" if none is similar."""
    matches = difflib.get_close_matches(str(name), [*candidates], n=1, cutoff=0.6)
    return template.format(matches[0]) if matches else ""


def format_with_error(value: float, error: float | None) -> str:
    """Write a value ± its error, or alone without one; digits: those of `round_to_error`."""
    numbers = (value, error) if error and math.isfinite(error) else (value,)
    return " ± ".join(round_to_error(numbers, error))


def format_interval(value: float, low: float, high: float) -> str:
    """Write a value with its interval in brackets; half of its width is the error."""
    value_text, *ends = round_to_error((value, low, high), (high - low) / 2)
    return f"{value_text} [{', '.join(ends)}]"


def round_to_error(numbers: Iterable[float], error: float | None) -> list[str]:
    """Write numbers to the second digit of their error; with four digits if it is unknown or 0."""
    if not error or not math.isfinite(error):
        return [f"{number:z,.{'4g' if abs(number) < 1000 else '0f'}}" for number in numbers]
    decimals = 1 - int(f"{error:.1e}".partition("e")[2])
    return [f"{round(number, decimals):z,.{max(0, decimals)}f}" for number in numbers]


def join_command(words: Iterable[object]) -> str:
    """Join the words of a command with the quotes of this system's shell."""
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join([str(word) for word in words])


class Metavar(NamedTuple):
    """The word that stands for a parameter's value in --help, where its type says too little."""

    text: str
