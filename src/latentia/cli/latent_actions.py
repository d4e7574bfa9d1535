"""Tables and pictures of latents, behind the commands of latent_commands.py."""

import json
import sys
from collections.abc import Sequence

from latentia.cli.arguments import require_at_least
from latentia.cli.opened_run import OpenedRun, make_encoders
from latentia.cli.options import Inputs
from latentia.cli.tables import print_associations
from latentia.core import distributed
from latentia.core.text import pluralize
from latentia.latents.association import associate_labels
from latentia.latents.attribution import attribute_pixels
from latentia.latents.encoding import SAMPLE, encode_split, format_rate, name_dims, parse_dims
from latentia.latents.parsing import parse_latents
from latentia.latents.table import write_table
from latentia.latents.traversal import traverse_dims
from latentia.report import latent_figures, rendered_images
from latentia.report.grids import encode_gif, encode_npy, encode_png, save
from latentia.runs.image_names import caption_image, resolve_image
from latentia.training.launch import init_distributed, rank0_first


def write_latents(inputs: Inputs, thumbnails: bool) -> None:
    with init_distributed():
        opened = OpenedRun(inputs)
        run, model, labels = opened.folder, opened.autoencoder, opened.make_labels("nan")
        images = rank0_first(lambda: run.images(inputs.data))
        split = rank0_first(lambda: run.split(inputs.split, images, default="all", labels=labels))
        if split.note and not distributed.rank():
            print(split.note, file=sys.stderr)
        membership = run.membership(split, images)
        path = write_table(inputs.out, model, split, membership, thumbnails=thumbnails)
        if not distributed.rank():
            print(path)


def report_associations(inputs: Inputs, k: int, permutations: int, as_json: bool) -> None:
    opened = OpenedRun(inputs, ".png", ".svg")
    model = opened.autoencoder
    split = opened.load_split(labels=opened.make_labels("drop"))
    if split.note:
        print(split.note, file=sys.stderr)
    values = {name: column.numpy() for name, column in split.columns.items()}
    table, names = encode_split(model, split), name_dims(model.latent_shape)
    result = associate_labels(table, values, split.classes, max_dims=k, permutations=permutations)
    count = pluralize(len(split), "image")
    caption = f"{opened.folder.name}: {count} of {split.name}, {permutations} permutations"
    if inputs.out:
        figure = latent_figures.draw_associations(result, names, caption)
        save(inputs.out, make_encoders(figure))
    if as_json:
        settings = {"split": split.name, "permutations": permutations}
        print(json.dumps({**settings, **result.to_json()}, indent=1))
        return
    print_associations(caption, result, names)
    if inputs.out:
        print(inputs.out)


def draw_traversal(inputs: Inputs, name: str, dims: str | None, steps: int) -> None:
    opened = OpenedRun(inputs, ".png", ".gif", ".npy")
    model = opened.autoencoder
    table = encode_split(model, opened.load_training_split(), SAMPLE)
    image, names = opened.load_images([name]), name_dims(model.latent_shape)
    result = traverse_dims(model, image, table, parse_dims(dims, table.dims_by_kl), steps)
    caption = (
        f"{opened.folder.name}: {caption_image(name, inputs.split)} along one latent at a time, "
        f"from the {result.levels[0]:.1%} to the {result.levels[-1]:.1%} quantile of "
        f"{pluralize(len(table.mean), 'image')}"
    )

    def encode_grid() -> bytes:
        grid = latent_figures.make_traversal_grid(result, image, names, caption)
        return encode_png(grid, caption)

    def encode_frames() -> bytes:
        frames = latent_figures.make_traversal_frames(result, names, caption)
        return encode_gif(frames, there_and_back=True)

    pictures = {".png": encode_grid, ".gif": encode_frames}
    opened.save({**pictures, ".npy": lambda: encode_npy(result.images)})


def draw_interpolation(inputs: Inputs, names: Sequence[str], steps: int, spherical: bool) -> None:
    opened = OpenedRun(inputs, ".png", ".gif", ".npy")
    model, images = opened.autoencoder, opened.load_images(names)
    render = rendered_images.render_walk
    opened.save(render(opened.folder, model, names, images, steps, spherical).encoders)


def draw_neighbors(inputs: Inputs, name: str, n: int) -> None:
    require_at_least("-n", n, 1)
    opened = OpenedRun(inputs, ".png", ".npy")
    run, model = opened.folder, opened.autoencoder
    images = run.images(inputs.data)
    split = run.split(inputs.split, images)
    key, image = resolve_image(run, name, inputs.split, images)
    table = encode_split(model, split, SAMPLE)
    render = rendered_images.render_neighbors
    opened.save(render(run, model, key, image, split, table, n)[0].encoders)


def draw_decoded(inputs: Inputs, latents: str) -> None:
    opened = OpenedRun(inputs, ".png", ".npy")
    model = opened.autoencoder
    z = parse_latents(latents, model.latent_shape)
    opened.save(rendered_images.render_latents(opened.folder, model, z).encoders)


def draw_attribution(inputs: Inputs, name: str, dims: str | None) -> None:
    opened = OpenedRun(inputs, ".png", ".svg", ".npy")
    model = opened.autoencoder
    table = encode_split(model, opened.load_training_split(), SAMPLE)
    image, chosen_dims = opened.load_images([name]), parse_dims(dims, table.dims_by_kl)
    maps = attribute_pixels(model, image, chosen_dims, table.aggregate_sd[chosen_dims].tolist())
    names = name_dims(model.latent_shape)
    titles = [f"z {names[k]}  {format_rate(table.kl_per_dim, k)}" for k in chosen_dims]
    caption = (
        f"{opened.folder.name}: {caption_image(name, inputs.split)}, change by one standard "
        f"deviation of {pluralize(len(table.mean), 'image')}"
    )
    reconstruction = model.reconstruct(image)
    figure = latent_figures.draw_attributions(maps, image, reconstruction, titles, caption)
    opened.save({**make_encoders(figure), ".npy": lambda: encode_npy(maps)})
