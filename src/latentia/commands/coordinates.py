"""Commands on named latents: encode, relate, traverse, interpolate, nearest, decode, attribute."""

import json
import sys
from typing import Annotated, Literal

from typing_extensions import Doc
from tyro.conf import Positional

from latentia.commands.flags import WHICH, AtBeta, Data, Json, Number, Out, RunFolder, SplitName
from latentia.core.errors import Error
from latentia.core.text import counted

LabelFile = Annotated[
    str | None,
    Doc(".csv or .parquet with rows of some or all images, joined by file name; default: none"),
]
LabelColumns = Annotated[
    str | None, Doc("columns to use, such as Year,Brand; default: all of the file, or the source's")
]
Dims = Annotated[
    str | None, Doc("top:4, of highest rate, or numbers such as 0,3,5; default: top:8, or all")
]
OneImage = Annotated[Positional[str], Doc(WHICH)]
SAMPLE = 5000  # images that stand for the aggregate posterior


def encode(
    run: RunFolder,
    data: Data = None,
    split: Annotated[str | None, Doc("train, validation or test; default: all images")] = None,
    labels: LabelFile = None,
    label_cols: LabelColumns = None,
    thumbnails: Annotated[
        bool, Doc("parquet with image, mu, x and y for embedding-atlas; default: without")
    ] = False,
    beta: AtBeta = None,
    out: Annotated[str, Doc(".parquet, .csv or .npz file to write")] = "latents.parquet",
) -> None:
    """Write a table of latents: a row an image, with its name, posterior, rate and labels.

    Several processes share the images: torchrun --nproc_per_node 2 -m -- latentia encode RUN.
    """
    from latentia.core import distributed
    from latentia.latents.table import write_table
    from latentia.runs.open import open_run
    from latentia.training.launch import first_before_all, together

    with together():
        opened = open_run(run).with_beta(beta)
        model = opened.autoencoder()
        table = _labels(labels, label_cols, "blank")
        images = first_before_all(lambda: opened.images(data))
        part = first_before_all(lambda: opened.split(split, images, own="all", labels=table))
        if part.note and not distributed.rank():
            print(part.note, file=sys.stderr)
        membership = opened.membership(part, images)
        path = write_table(out, model, part, membership, thumbnails=thumbnails)
        if not distributed.rank():
            print(path)


def relate(
    run: RunFolder,
    data: Data = None,
    split: SplitName = None,
    labels: LabelFile = None,
    label_cols: LabelColumns = None,
    k: Annotated[int, Doc("labels are read from the first 1 to k dimensions")] = 5,
    permutations: Annotated[int, Doc("of each label, for the p-values")] = 200,
    beta: AtBeta = None,
    json_: Json = False,
    out: Annotated[str | None, Doc(".png or .svg file for the figure; default: none")] = None,
) -> None:
    """Find which latent dimension carries which label."""
    from latentia.latents.association import relate as related
    from latentia.latents.encoding import codes, names
    from latentia.report.grids import ending, put
    from latentia.runs.open import open_run

    if out is not None:
        ending(out, ".png", ".svg")
    opened = open_run(run).with_beta(beta)
    model = opened.autoencoder()
    part = opened.split(split, data, labels=_labels(labels, label_cols, "left out"))
    if part.note:
        print(part.note, file=sys.stderr)
    columns = {name: values.numpy() for name, values in part.columns.items()}
    found = related(codes(model, part), columns, part.classes, k=k, permutations=permutations)
    caption = (
        f"{opened.name}: {counted(len(part), 'image')} of {part.name}, {permutations} permutations"
    )
    if out is not None:
        from latentia.report.latent_figures import relation_figure, rendered

        figure = relation_figure(found, names(model.latent_shape), caption)
        put(out, {f".{kind}": lambda kind=kind: rendered(figure, kind) for kind in ("png", "svg")})
    if json_:
        about = {"split": part.name, "permutations": permutations, **found.as_json()}
        print(json.dumps(about, indent=1))
        return
    from latentia.show import relations

    relations(caption, found, names(model.latent_shape))
    if out is not None:
        print(out)


def traverse(
    run: RunFolder,
    image: OneImage,
    dims: Dims = None,
    steps: Annotated[int, Doc("values of each dimension")] = 9,
    split: SplitName = None,
    data: Data = None,
    beta: AtBeta = None,
    out: Annotated[str, Doc(".png, .gif or .npy file to write")] = "traversal.png",
) -> None:
    """Move one image along one latent dimension at a time, as far as the training images go."""
    from latentia.latents.encoding import chosen, codes, names
    from latentia.latents.traversal import traverse as traversal
    from latentia.report.grids import ending, gif, npy, png, put
    from latentia.report.latent_figures import traversal_frames, traversal_sheet
    from latentia.runs.image_names import caption_image, resolve_image
    from latentia.runs.open import open_run

    ending(out, ".png", ".gif", ".npy")
    opened = open_run(run).with_beta(beta)
    model = opened.autoencoder()
    over = codes(model, opened.split(None, data, default="train"), SAMPLE)
    given = resolve_image(opened, image, split, data)[1]
    found = traversal(model, given, over, chosen(dims, over.order), steps)
    known = names(model.latent_shape)
    ends = f"from the {found.levels[0]:.1%} to the {found.levels[-1]:.1%} quantile"
    caption = (
        f"{opened.name}: {caption_image(image, split)} along one latent at a time, {ends} of "
        f"{counted(len(over.mean), 'image')}"
    )
    kinds = {
        ".png": lambda: png(traversal_sheet(found, given, known, caption), caption),
        ".gif": lambda: gif(traversal_frames(found, known, caption), back=True),
        ".npy": lambda: npy(found.images),
    }
    print(put(out, kinds))


def interpolate(
    run: RunFolder,
    images: Annotated[Positional[tuple[str, ...]], Doc(f"of each: {WHICH}")],
    steps: Annotated[int, Doc("pictures from each image to the next, ends included")] = 10,
    spherical: Annotated[bool, Doc("along arcs; default: straight lines")] = False,
    split: SplitName = None,
    data: Data = None,
    beta: AtBeta = None,
    out: Annotated[str, Doc(".png, .gif or .npy file to write")] = "strip.png",
) -> None:
    """Walk from image to image through their latents."""
    import torch

    from latentia.report.grids import ending, put
    from latentia.report.rendered_images import walked
    from latentia.runs.image_names import resolve_image
    from latentia.runs.open import open_run

    ending(out, ".png", ".gif", ".npy")
    opened = open_run(run).with_beta(beta)
    model = opened.autoencoder()
    ends = [resolve_image(opened, name, split, data)[1] for name in images]
    found = walked(opened, model, images, torch.cat(ends), steps, spherical)
    print(put(out, found.kinds))


def nearest(
    run: RunFolder,
    image: OneImage,
    n: Number = 8,
    split: SplitName = None,
    data: Data = None,
    beta: AtBeta = None,
    out: Out = "nearest.png",
) -> None:
    """Show the images of a split whose latents lie nearest to an image's."""
    from latentia.latents.encoding import codes
    from latentia.report.grids import ending, put
    from latentia.report.rendered_images import neighbours
    from latentia.runs.image_names import resolve_image
    from latentia.runs.open import open_run

    ending(out, ".png", ".npy")
    if n < 1:
        raise Error(f"-n is {n}; it must be at least 1.")
    opened = open_run(run).with_beta(beta)
    model = opened.autoencoder()
    images = opened.images(data)
    part = opened.split(split, images)
    key, given = resolve_image(opened, image, split, images)
    over = codes(model, part, SAMPLE)
    print(put(out, neighbours(opened, model, key, given, part, over, n)[0].kinds))


def decode(
    run: RunFolder,
    latents: Annotated[
        str, Doc("a .json file of rows, or one row: --latents=0.5,-1.2 with every dimension")
    ],
    beta: AtBeta = None,
    out: Out = "decoded.png",
) -> None:
    """Decode latents that are given as numbers."""
    from latentia.latents.parsing import read_latents
    from latentia.report.grids import ending, put
    from latentia.report.rendered_images import decoded
    from latentia.runs.open import open_run

    ending(out, ".png", ".npy")
    opened = open_run(run).with_beta(beta)
    model = opened.autoencoder()
    print(put(out, decoded(opened, model, read_latents(latents, model.latent_shape)).kinds))


def attribute(
    run: RunFolder,
    image: OneImage,
    dims: Dims = None,
    split: SplitName = None,
    data: Data = None,
    beta: AtBeta = None,
    out: Annotated[str, Doc(".png, .svg or .npy file to write")] = "attribution.png",
) -> None:
    """Map how each pixel answers to each latent dimension."""
    from latentia.latents.attribution import attribute as answers
    from latentia.latents.encoding import chosen, codes, names
    from latentia.report.grids import ending, npy, put
    from latentia.report.latent_figures import attribution_figure, rendered
    from latentia.runs.image_names import caption_image, resolve_image
    from latentia.runs.open import open_run

    ending(out, ".png", ".svg", ".npy")
    opened = open_run(run).with_beta(beta)
    model = opened.autoencoder()
    over = codes(model, opened.split(None, data, default="train"), SAMPLE)
    given, picked = resolve_image(opened, image, split, data)[1], chosen(dims, over.order)
    maps = answers(model, given, picked, over.spread[picked].tolist())
    known = names(model.latent_shape)
    titles = [f"z {known[k]}, {over.rates[k]:.2f} nats" for k in picked]
    n = counted(len(over.mean), "image")
    caption = (
        f"{opened.name}: {caption_image(image, split)}, change by one standard deviation of {n}"
    )
    figure = attribution_figure(maps, given, model.reconstruct(given), titles, caption)
    pictures = {f".{kind}": lambda kind=kind: rendered(figure, kind) for kind in ("png", "svg")}
    print(put(out, {**pictures, ".npy": lambda: npy(maps)}))


def _labels(file: str | None, columns: str | None, gaps: Literal["left out", "blank"]):
    from latentia.data.labels import Labels

    return Labels(file, columns.split(",") if columns else None, gaps)
