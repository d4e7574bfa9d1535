"""A paragraph for the methods section of a paper, from the files of a run."""

from latentia.core.text import pluralize
from latentia.runs.folder import RunFolder
from latentia.training.log import read_rows

NAMED = "latent", "epochs", "batch", "lr", "seed", "precision"  # the table of settings has all


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
    start = ""
    if "closed_form" in metadata:
        weight = metadata["closed_form"]["feature_weight"]
        space = f"the features of {metadata['arguments']['features']}, weight {weight:g}, and "
        start = (
            f"Encoder and decoder began as a principal component analysis of {space * bool(weight)}"
            "the pixels. "
        )
    return (
        f"The recipe {metadata['recipe']} of latentia {machine['latentia']} (PyTorch "
        f"{machine['torch'].partition('+')[0]}, Python {machine['python']}) was trained on "
        f"{pluralize(count['train'], 'image')} of {height}x{width} pixels and "
        f"{pluralize(channels, 'channel')}; {count.get('validation', 0):,} other images were held "
        f"out for validation and {count.get('test', 0):,} for the test. {start}The networks have "
        f"{sum(metadata['parameters'].values()):,} parameters. The options were "
        f"{text}; the other settings stand in the table below. The weights are those of {weights}."
    )
