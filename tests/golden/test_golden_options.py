"""No option is lost or changes its default; the words of its help may."""

import json

import pytest

import golden

DROPPED = {"doctor": {"--clean"}}  # options that were removed on purpose since the reference
ADDED = {
    "train": {
        *("--splits", "--black", "--pages", "--label-folder", "--label-regex", "--label-kind"),
        *(
            "--group",
            "--group-regex",
            "--exclude",
            "--skip-unreadable --no-skip-unreadable",
            "--max-pixels",
            "--init",
            "--balance",
            "--minutes",
            "--aspect",
            "--tiles",
            "--missing",
            "--cond",
            "--augment",
            "--augment-probability",
            "--prior",
            "--pseudo-inputs",
            "--mmd-weight",
            "--rate-weight",
        ),
    },
    "resume": {"--epochs"},
    "nearest": {"--table", "--features"},
    "relate": {"--features"},
    "traverse": {"--axes", "--toward", "--labels", "--cond"},
    "interpolate": {"--cond"},
    "decode": {"--cond"},
    "reconstruct": {"--cond"},
    "encode": {"--axes", "--clusters", "--sheet", "--copy-to"},
    "explore": {"--label-cols", "--umap-neighbors", "--umap-distance", "--coordinates"},
    "doctor": {"--table"},
    "sample": {"--temperature", "--latents-out"},
}  # and those that were added to a command or to every recipe
LIKELIHOODS = ["auto", "bernoulli", "discretized", "gaussian"]
# options whose default or choices were changed on purpose, as they are now
CHANGED = {
    "train conv_vae": {"--likelihood": {"default": "auto", "choices": LIKELIHOODS}},
    "train image_autoencoder": {"--quantizer": {"default": "none", "choices": ["fsq", "none"]}},
}
DIVERGENCES = {"default": None, "choices": ["None", "kl", "mmd", "tc"]}  # of every recipe
NEW_COMMANDS = {"compare", "outliers", "fit", "project", "train photo_vae", "train mnist_hvae"}
NEW_COMMANDS |= {
    "train pixel_diffusion",
    "complete",
    "map",
    "train paired_diffusion",
    "train image_hvae",
}
OPTIONS = json.loads((golden.HERE / "options.json").read_text())


def test_commands_and_recipes_are_those_of_the_reference():
    found = {*golden.command_names()} - {"train"} | {f"train {r}" for r in golden.recipe_names()}
    assert found - NEW_COMMANDS == OPTIONS.keys()


@pytest.mark.parametrize("command", OPTIONS)
def test_options_and_defaults_are_those_of_the_reference(command):
    dropped = DROPPED.get(command, set())
    assert dropped <= OPTIONS[command].keys()
    kept = {name: each for name, each in OPTIONS[command].items() if name not in dropped}
    kept |= CHANGED.get(command, {})
    kept |= {"--divergence": DIVERGENCES} if "--divergence" in kept else {}
    options = golden.options(*command.split())
    added = ADDED.get(command.split()[0], set()) - kept.keys()  # one was a recipe's own
    assert added <= options.keys()
    assert {name: each for name, each in options.items() if name not in added} == kept
