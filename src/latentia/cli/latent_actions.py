"""Tables and pictures of latents, behind the commands of latent_commands.py."""

import json
import sys
from collections.abc import Sequence

from latentia.cli.opened_run import get_labels, open_inputs
from latentia.cli.options import Inputs
from latentia.cli.tables import print_associations
from latentia.core import distributed
from latentia.core.text import pluralize
from latentia.data.labels import Labels
from latentia.latents.association import associate_split
from latentia.latents.encoding import name_dims
from latentia.latents.parsing import parse_latents
from latentia.latents.table import write_table
from latentia.report.grids import save
from latentia.report.latent_figures import draw_associations, make_figure_encoders
from latentia.training.launch import init_distributed, rank0_first


def write_latents(inputs: Inputs, thumbnails: bool) -> None:
    with init_distributed():
        run = open_inputs(inputs)
        model, labels = run.autoencoder, Labels(*get_labels(inputs).values(), "nan")
        images = rank0_first(lambda: run.images)
        folder, name = run.folder, inputs.split
        split = rank0_first(lambda: folder.split(name, images, default="all", labels=labels))
        if split.note and not distributed.rank():
            print(split.note, file=sys.stderr)
        membership = folder.membership(split, images)
        path = write_table(inputs.out, model, split, membership, thumbnails=thumbnails)
        if not distributed.rank():
            print(path)


def report_associations(inputs: Inputs, k: int, permutations: int, as_json: bool) -> None:
    run = open_inputs(inputs, ".png", ".svg")
    model = run.autoencoder
    split = run.split(inputs.split, **get_labels(inputs), missing="drop")
    if split.note:
        print(split.note, file=sys.stderr)
    result = associate_split(model, split, max_dims=k, permutations=permutations)
    names, count = name_dims(model.latent_shape), pluralize(len(split), "image")
    caption = f"{run.name}: {count} of {split.name}, {permutations} permutations"
    if inputs.out:
        figure = draw_associations(result, names, caption)
        save(inputs.out, make_figure_encoders(figure))
    if as_json:
        settings = {"split": split.name, "permutations": permutations}
        print(json.dumps({**settings, **result.to_json()}, indent=1))
        return
    print_associations(caption, result, names)
    if inputs.out:
        print(inputs.out)


def draw_traversal(inputs: Inputs, name: str, dims: str | None, steps: int) -> None:
    run = open_inputs(inputs, ".png", ".gif", ".npy")
    print(run.plot_traversal(name, dims, steps=steps, split=inputs.split).save(inputs.out))


def draw_interpolation(inputs: Inputs, names: Sequence[str], steps: int, spherical: bool) -> None:
    run = open_inputs(inputs, ".png", ".gif", ".npy")
    options = {"steps": steps, "spherical": spherical, "split": inputs.split}
    print(run.plot_interpolation(names, **options).save(inputs.out))


def draw_neighbors(inputs: Inputs, name: str, n: int) -> None:
    run = open_inputs(inputs, ".png", ".npy")
    print(run.plot_nearest(name, n, split=inputs.split).save(inputs.out))


def draw_decoded(inputs: Inputs, latents: str) -> None:
    run = open_inputs(inputs, ".png", ".npy")
    z = parse_latents(latents, run.autoencoder.latent_shape)
    print(run.plot_decoded(z).save(inputs.out))


def draw_attribution(inputs: Inputs, name: str, dims: str | None) -> None:
    run = open_inputs(inputs, ".png", ".svg", ".npy")
    print(run.plot_attribution(name, dims, split=inputs.split).save(inputs.out))
