"""A paragraph for the methods section of a paper, and a table of settings, from a run's files."""

from collections import ChainMap
from typing import Any

from latentia.core.text import format_with_error, pluralize
from latentia.runs.folder import RunFolder
from latentia.training.log import read_rows

NAMED = "latent", "epochs", "batch", "lr", "seed", "precision"  # the table of settings has all
PURPOSES = {"validation": "validation", "test": "testing"}  # of the splits


def describe_methods(run: RunFolder) -> str:
    """Describe images, model, training and the choice of the weights in whole sentences."""
    metadata, rows = run.metadata, read_rows(run.path / "log.jsonl")
    machine, count = metadata["machine"], metadata["images"]["count"]
    channels, height, width = metadata["images"]["shape"]
    values = {**metadata["arguments"], **metadata["options"]}
    chosen = {name: values[name] for name in NAMED if name in values}
    for options in metadata["modifiers"].values():
        chosen |= options
    text = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in chosen.items())
    best = [row["epoch"] for row in rows if row["event"] == "validated" and row["is_best"]]
    weights = f"epoch {best[-1]}, with the lowest validation loss" if best else "the last step"
    others = " and ".join(
        f"{pluralize(count[name], 'image')} for {purpose}"
        for name, purpose in PURPOSES.items()
        if count.get(name)
    )
    return (
        f"The recipe {metadata['recipe']} of latentia {machine['latentia']} (PyTorch "
        f"{machine['torch'].partition('+')[0]}, Python {machine['python']}) was trained on "
        f"{pluralize(count['train'], 'image')} of {height}x{width} pixels and "
        f"{pluralize(channels, 'channel')}; {others or 'no images'} were kept apart. "
        f"{_describe_closed_form(metadata)}The networks have "
        f"{sum(metadata['parameters'].values()):,} parameters. The options were "
        f"{text}; the other settings stand in the table below. The weights are those of {weights}."
    )


def _describe_closed_form(metadata: Any) -> str:
    """Return the sentence about the start of a model that begins as PCA; "" of others."""
    if "closed_form" not in metadata:
        return ""
    features = ""
    if weight := metadata["closed_form"]["feature_weight"]:
        features = (
            f" and features jointly, with weight {weight:.3g} of the features, which are those of "
            "an EfficientNet-Lite0 pretrained on ImageNet"
        )
    return (
        "Encoder and decoder started from the closed form of probabilistic PCA (Tipping & Bishop "
        f"1999) of pixels{features}. "
    )


def list_settings(metadata: Any) -> list[tuple[str, str]]:
    """Return name and text of every setting of a run that is set."""
    modifiers = dict(ChainMap(*metadata["modifiers"].values()))
    groups = {**metadata["arguments"], **modifiers, **metadata["options"]}
    settings = [(name.replace("_", "-"), value) for name, value in groups.items()]
    for group in ("images", "machine"):
        settings += [(f"{group}: {name}", value) for name, value in metadata[group].items()]
    if _has_own_validation(metadata):
        split = metadata["images"]["split"]
        shares = {"validation": split["validation"], "images: split": split}
        own = {"images: split": {k: v for k, v in split.items() if k != "validation"}}
        settings = [(k, own.get(k) if k in shares else v) for k, v in settings]
    # what is unset says nothing
    return [(k, _format_setting(v)) for k, v in settings if v not in (None, "", [], {})]


def _has_own_validation(metadata: Any) -> bool:
    """Whether the data named the validation images: they are not the share of --validation."""
    count, split = metadata["images"]["count"], metadata["images"]["split"]
    share = round(split["validation"] * (count["train"] + count["validation"]))
    has_groups = any(metadata["options"].get(name) for name in ("group", "group_regex"))
    return count["validation"] != share and not has_groups


def _format_setting(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_format_setting(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value)} values: {', '.join(map(_format_setting, value[:12]))}"
    if isinstance(value, list):
        is_shape = all(isinstance(each, int) for each in value)
        return ("x" if is_shape else ", ").join(map(_format_setting, value))
    is_float = isinstance(value, float)
    return "none" if value is None else format_with_error(value, None) if is_float else str(value)
