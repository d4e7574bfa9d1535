"""Tables and pictures of latents, behind the commands of latent_commands.py."""

import json
import sys
from collections.abc import Sequence

from latentia.cli.arguments import require_at_least
from latentia.cli.opened_run import OpenedRun, render_kinds
from latentia.cli.options import Inputs
from latentia.cli.tables import print_associations
from latentia.core import distributed
from latentia.core.text import pluralize
from latentia.data.labels import Labels
from latentia.latents.association import associate_labels
from latentia.latents.attribution import attribute_pixels
from latentia.latents.encoding import SAMPLE, encode_split, parse_dims
from latentia.latents.encoding import name_dims as dimension_names
from latentia.latents.parsing import parse_latents
from latentia.latents.table import write_table
from latentia.latents.traversal import traverse_dims
from latentia.report.grids import encode_gif, encode_npy, encode_png, save
from latentia.report.latent_figures import (
    draw_associations,
    draw_attributions,
    make_traversal_frames,
    make_traversal_grid,
)
from latentia.report.rendered_images import render_latents, render_neighbors, render_walk
from latentia.runs.image_names import caption_image, resolve_image
from latentia.training.launch import init_distributed, rank0_first


def write_latents(
    inputs: Inputs, labels: str | None, columns: str | None, thumbnails: bool
) -> None:
    with init_distributed():
        opened = OpenedRun(inputs)
        run, model = opened.folder, opened.autoencoder
        table = Labels(labels, _split_names(columns), "nan")
        images = rank0_first(lambda: run.images(inputs.data))
        part = rank0_first(lambda: run.split(inputs.split, images, default="all", labels=table))
        if part.note and not distributed.rank():
            print(part.note, file=sys.stderr)
        membership = run.membership(part, images)
        path = write_table(inputs.out, model, part, membership, thumbnails=thumbnails)
        if not distributed.rank():
            print(path)


def report_associations(
    inputs: Inputs,
    labels: str | None,
    columns: str | None,
    k: int,
    permutations: int,
    as_json: bool,
) -> None:
    opened = OpenedRun(inputs, ".png", ".svg")
    model = opened.autoencoder
    part = opened.load_split(labels=Labels(labels, _split_names(columns), "drop"))
    if part.note:
        print(part.note, file=sys.stderr)
    values = {name: column.numpy() for name, column in part.columns.items()}
    result = associate_labels(
        encode_split(model, part), values, part.classes, max_dims=k, permutations=permutations
    )
    caption = (
        f"{opened.folder.name}: {pluralize(len(part), 'image')} of {part.name}, "
        f"{permutations} permutations"
    )
    names = dimension_names(model.latent_shape)
    if inputs.out:
        save(inputs.out, render_kinds(draw_associations(result, names, caption)))
    if as_json:
        about = {"split": part.name, "permutations": permutations, **result.to_json()}
        print(json.dumps(about, indent=1))
        return
    print_associations(caption, result, names)
    if inputs.out:
        print(inputs.out)


def draw_traversal(inputs: Inputs, name: str, dims: str | None, steps: int) -> None:
    opened = OpenedRun(inputs, ".png", ".gif", ".npy")
    model = opened.autoencoder
    table = encode_split(model, opened.load_training_split(), SAMPLE)
    image = opened.load_images([name])
    result = traverse_dims(model, image, table, parse_dims(dims, table.dims_by_kl), steps)
    names = dimension_names(model.latent_shape)
    ends = f"from the {result.levels[0]:.1%} to the {result.levels[-1]:.1%} quantile"
    caption = (
        f"{opened.folder.name}: {caption_image(name, inputs.split)} along one latent at a time, "
        f"{ends} of {pluralize(len(table.mean), 'image')}"
    )
    kinds = {
        ".png": lambda: encode_png(make_traversal_grid(result, image, names, caption), caption),
        ".gif": lambda: encode_gif(
            make_traversal_frames(result, names, caption), there_and_back=True
        ),
        ".npy": lambda: encode_npy(result.images),
    }
    opened.save(kinds)


def draw_interpolation(inputs: Inputs, names: Sequence[str], steps: int, spherical: bool) -> None:
    opened = OpenedRun(inputs, ".png", ".gif", ".npy")
    model, ends = opened.autoencoder, opened.load_images(names)
    opened.save(render_walk(opened.folder, model, names, ends, steps, spherical).encoders)


def draw_neighbors(inputs: Inputs, name: str, n: int) -> None:
    require_at_least("-n", n, 1)
    opened = OpenedRun(inputs, ".png", ".npy")
    run, model = opened.folder, opened.autoencoder
    images = run.images(inputs.data)
    part = run.split(inputs.split, images)
    key, image = resolve_image(run, name, inputs.split, images)
    table = encode_split(model, part, SAMPLE)
    opened.save(render_neighbors(run, model, key, image, part, table, n)[0].encoders)


def draw_decoded(inputs: Inputs, latents: str) -> None:
    opened = OpenedRun(inputs, ".png", ".npy")
    model = opened.autoencoder
    opened.save(
        render_latents(opened.folder, model, parse_latents(latents, model.latent_shape)).encoders
    )


def draw_attribution(inputs: Inputs, name: str, dims: str | None) -> None:
    opened = OpenedRun(inputs, ".png", ".svg", ".npy")
    model = opened.autoencoder
    table = encode_split(model, opened.load_training_split(), SAMPLE)
    image, picked = opened.load_images([name]), parse_dims(dims, table.dims_by_kl)
    maps = attribute_pixels(model, image, picked, table.aggregate_sd[picked].tolist())
    names = dimension_names(model.latent_shape)
    titles = [f"z {names[k]}, {table.kl_per_dim[k]:.2f} nats" for k in picked]
    n = pluralize(len(table.mean), "image")
    place = caption_image(name, inputs.split)
    caption = f"{opened.folder.name}: {place}, change by one standard deviation of {n}"
    figure = draw_attributions(maps, image, model.reconstruct(image), titles, caption)
    opened.save({**render_kinds(figure), ".npy": lambda: encode_npy(maps)})


def _split_names(text: str | None) -> list[str] | None:
    return text.split(",") if text else None
