"""Pictures of a run's latents, and what they say about labels."""

import json
import sys
from types import SimpleNamespace

from latentia.cli.arguments import split_names
from latentia.cli.opened_run import open_requested_run
from latentia.cli.tables import print_associations
from latentia.core.text import pluralize
from latentia.latents.association import associate_split
from latentia.latents.encoding import name_dims
from latentia.latents.parsing import parse_latents
from latentia.report.figures import make_encoders
from latentia.report.grids import save
from latentia.report.latent_figures import draw_associations


def relate(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".svg")
    model = run.autoencoder
    columns = split_names(args.label_cols)
    split = run.split(args.split, labels=args.labels, label_cols=columns, missing="drop")
    if split.note:
        print(split.note, file=sys.stderr)
    result = associate_split(model, split, max_dims=args.k, permutations=args.permutations)
    names, count = name_dims(model.latent_shape), pluralize(len(split), "image")
    caption = f"{run.name}: {count} of {split.name}, {args.permutations} permutations"
    if args.out:
        save(args.out, make_encoders(draw_associations(result, names, caption)))
    if args.json_:
        settings = {"split": split.name, "permutations": args.permutations}
        print(json.dumps({**settings, **result.to_json()}, indent=1))
        return
    print_associations(caption, result, names)
    if args.out:
        print(args.out)


def traverse(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".gif", ".npy")
    picture = run.plot_traversal(args.image, args.dims, steps=args.steps, split=args.split)
    print(picture.save(args.out))


def interpolate(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".gif", ".npy")
    options = {name: getattr(args, name) for name in ("steps", "spherical", "split")}
    print(run.plot_interpolation(args.images, **options).save(args.out))


def nearest(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".npy")
    print(run.plot_nearest(args.image, args.n, split=args.split).save(args.out))


def decode(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".npy")
    z = parse_latents(args.latents, run.autoencoder.latent_shape)
    print(run.plot_decoded(z).save(args.out))


def attribute(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".svg", ".npy")
    print(run.plot_attribution(args.image, args.dims, split=args.split).save(args.out))
