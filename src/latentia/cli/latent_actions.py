"""Pictures of a run's latents, and what they say about labels."""

import json
import sys
from types import SimpleNamespace

from latentia.cli.arguments import require_at_least
from latentia.cli.opened_run import OpenedRun
from latentia.cli.tables import print_associations
from latentia.core.text import pluralize
from latentia.latents.association import associate_labels
from latentia.latents.attribution import attribute_pixels
from latentia.latents.encoding import SAMPLE, encode_split, format_rate, name_dims, parse_dims
from latentia.latents.parsing import parse_latents
from latentia.latents.traversal import traverse_dims
from latentia.report import latent_figures, rendered_images
from latentia.report.figures import make_encoders
from latentia.report.grids import encode_gif, encode_npy, encode_png, save
from latentia.runs.image_names import caption_image, resolve_image


def relate(args: SimpleNamespace) -> None:
    opened = OpenedRun(args, ".png", ".svg")
    model = opened.autoencoder
    split = opened.load_split(labels=opened.make_labels("drop"))
    if split.note:
        print(split.note, file=sys.stderr)
    values = {name: column.numpy() for name, column in split.columns.items()}
    table, names = encode_split(model, split), name_dims(model.latent_shape)
    limits = {"max_dims": args.k, "permutations": args.permutations}
    result = associate_labels(table, values, split.classes, **limits)
    count = pluralize(len(split), "image")
    caption = f"{opened.folder.name}: {count} of {split.name}, {args.permutations} permutations"
    if args.out:
        figure = latent_figures.draw_associations(result, names, caption)
        save(args.out, make_encoders(figure))
    if args.json_:
        settings = {"split": split.name, "permutations": args.permutations}
        print(json.dumps({**settings, **result.to_json()}, indent=1))
        return
    print_associations(caption, result, names)
    if args.out:
        print(args.out)


def traverse(args: SimpleNamespace) -> None:
    opened = OpenedRun(args, ".png", ".gif", ".npy")
    model = opened.autoencoder
    table = encode_split(model, opened.load_training_split(), SAMPLE)
    image, names = opened.load_images([args.image]), name_dims(model.latent_shape)
    dims = parse_dims(args.dims, table.dims_by_kl)
    result = traverse_dims(model, image, table, dims, args.steps)
    caption = (
        f"{opened.folder.name}: {caption_image(args.image, args.split)} along one latent at a "
        f"time, from the {result.levels[0]:.1%} to the {result.levels[-1]:.1%} quantile of "
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


def interpolate(args: SimpleNamespace) -> None:
    opened = OpenedRun(args, ".png", ".gif", ".npy")
    model, images = opened.autoencoder, opened.load_images(args.images)
    walk = args.images, images, args.steps, args.spherical
    opened.save(rendered_images.render_walk(opened.folder, model, *walk).encoders)


def nearest(args: SimpleNamespace) -> None:
    require_at_least("-n", args.n, 1)
    opened = OpenedRun(args, ".png", ".npy")
    run, model = opened.folder, opened.autoencoder
    images = run.images(args.data)
    split = run.split(args.split, images)
    key, image = resolve_image(run, args.image, args.split, images)
    table = encode_split(model, split, SAMPLE)
    query = key, image, split, table, args.n
    opened.save(rendered_images.render_neighbors(run, model, *query)[0].encoders)


def decode(args: SimpleNamespace) -> None:
    opened = OpenedRun(args, ".png", ".npy")
    model = opened.autoencoder
    z = parse_latents(args.latents, model.latent_shape)
    opened.save(rendered_images.render_latents(opened.folder, model, z).encoders)


def attribute(args: SimpleNamespace) -> None:
    opened = OpenedRun(args, ".png", ".svg", ".npy")
    model = opened.autoencoder
    table = encode_split(model, opened.load_training_split(), SAMPLE)
    image, dims = opened.load_images([args.image]), parse_dims(args.dims, table.dims_by_kl)
    maps = attribute_pixels(model, image, dims, table.aggregate_sd[dims].tolist())
    names = name_dims(model.latent_shape)
    titles = [f"z {names[k]}  {format_rate(table.kl_per_dim, k)}" for k in dims]
    caption = (
        f"{opened.folder.name}: {caption_image(args.image, args.split)}, change by one standard "
        f"deviation of {pluralize(len(table.mean), 'image')}"
    )
    reconstruction = model.reconstruct(image)
    figure = latent_figures.draw_attributions(maps, image, reconstruction, titles, caption)
    opened.save({**make_encoders(figure), ".npy": lambda: encode_npy(maps)})
