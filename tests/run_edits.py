"""Random edits of the JSON files of a run: wrong kinds, missing fields, absurd values."""

import copy
import json
import random
from pathlib import Path

from safetensors.torch import save_file

from latentia.training.checkpoint import read_json, read_tensors, write_json, write_tensors
from latentia.training.log import digest_rows

SEED = 20261128  # published: edit number k of a file is that of Random(f"{SEED}-{k}")
VALUES = [
    *(None, True, False, 0, -1, 1, 2, 3, 10**9, 10**30, -(10**400), 0.5, -0.5, 1e308, -1e-300),
    *(
        "",
        "x",
        "0",
        "own",
        "auto",
        "../..",
        "/",
        "~nobody/x",
        "x" * 3000,
        "a\0b",
        "\ud800",
        "$\\x$",
        "<b>",
    ),
    *([], {}, [None], [[]], [1, 2, 3], ["a"], {"a": 1}, {"": None}, [10**9] * 3, {"x": {"y": []}}),
]


def list_places(content, place=()):
    """Every field, item and their containers, as tuples of keys."""
    yield place
    members = enumerate(content) if isinstance(content, list) else ()
    for key, value in content.items() if isinstance(content, dict) else members:
        yield from list_places(value, (*place, key))


def edit(content, draw):
    """One to three random edits of a copy."""
    content = {"root": copy.deepcopy(content)}
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        place = draw.choice([each for each in list_places(content) if each])
        parent = content
        for key in place[:-1]:
            parent = parent[key]
        change(parent, place[-1], draw)
    return content["root"]


def change(parent, key, draw):
    value, kind = (
        parent[key],
        draw.choice(["value"] * 5 + ["scale", "text", "remove", "more", "swap"]),
    )
    if kind == "remove" and key != "root":
        del parent[key]
    elif kind == "scale" and isinstance(value, int | float):
        parent[key] = value * draw.choice([-1, 1000, 0.1, 10**6])
    elif kind == "text":
        parent[key] = json.dumps(value)
    elif kind == "more" and isinstance(value, list):
        parent[key] = value + draw.choice([value, [draw.choice(VALUES)]])
    elif kind == "more" and isinstance(value, dict):
        parent[key] = {**value, draw.choice(["", "x", "data", "seed"]): draw.choice(VALUES)}
    elif kind == "swap" and isinstance(parent, dict):
        other = draw.choice([*parent])
        parent[key], parent[other] = parent[other], value
    else:
        parent[key] = copy.deepcopy(draw.choice(VALUES))


def edit_file(path: Path, number: int) -> None:
    """Make edit `number` of a JSON file, a file of rows, or the metadata of a safetensors file.

    Checksums are made anew where the edited file can have one.
    """
    draw = random.Random(f"{SEED}-{number}")
    text = path.read_text(encoding="utf-8") if path.suffix != ".safetensors" else ""
    if path.suffix == ".safetensors":
        tensors, metadata = read_tensors(path)
        metadata = edit(metadata, draw)
        if isinstance(metadata, dict) and "Infinity" not in json.dumps(metadata):
            write_tensors(path, tensors, metadata)
        else:
            save_file(tensors, path, {"about": json.dumps(metadata)})
    elif draw.random() < 0.05:  # no JSON at all
        cut = draw.randrange(len(text))
        broken = [text[:cut], text.replace(":", "", 1), text + "]", "[" * 10**5, "NaN", ""]
        path.write_text(draw.choice(broken), encoding="utf-8")
    elif path.suffix == ".jsonl":
        rows = text.splitlines()
        row = draw.randrange(len(rows))
        rows[row] = json.dumps(edit(json.loads(rows[row]), draw))
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        state = path.with_name("state.safetensors")
        if state.exists():
            tensors, metadata = read_tensors(state)
            write_tensors(state, tensors, metadata | digest_rows(path, path.stat().st_size))
    else:
        content = edit(read_json(path), draw)
        if isinstance(content, dict) and "Infinity" not in json.dumps(content):
            write_json(path, content)
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
