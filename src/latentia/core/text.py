"""Counts and names in sentences and in help."""

import difflib
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


def suggest_name(name: str, candidates: Iterable[str], template: str) -> str:
    """Fill the template with the candidate most similar to `name`; "" if none is similar."""
    matches = difflib.get_close_matches(str(name), [*candidates], n=1, cutoff=0.5)
    return template.format(matches[0]) if matches else ""


def join_command(words: Iterable[object]) -> str:
    """Join the words of a command with the quotes of this system's shell."""
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join([str(word) for word in words])


class Metavar(NamedTuple):
    """The word that stands for a parameter's value in --help, where its type says too little."""

    text: str
