"""Pictures of a run's latents, and what they say about labels."""

import json
from types import SimpleNamespace
from typing import Any

from latentia.api.run import Run
from latentia.api.train_and_load import load
from latentia.cli.opened_run import draw_picture, open_requested_run
from latentia.cli.tables import print_associations
from latentia.core.errors import Error
from latentia.core.progress import print_note
from latentia.core.text import pluralize
from latentia.latents.encoding import name_dims
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.yardsticks import associate_images
from latentia.report.figures import make_encoders
from latentia.report.grids import SINGLE_IMAGES, save
from latentia.report.latent_figures import draw_associations


def relate(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".svg")
    split = run.split(args.split, labels=args.labels, label_cols=args.label_cols, missing="nan")
    print_note(split.note)
    evaluation = Evaluation(run.folder, run.images, split, args.features or "auto")
    result = associate_images(evaluation, args.k, args.permutations)
    names = name_dims(evaluation.autoencoder.latent_shape)
    count = pluralize(len(split), "image")
    caption = f"{run.name}: {count} (split {split.name}), {args.permutations} permutations"
    if args.json_:
        settings = {"split": split.name, "permutations": args.permutations}
        print(json.dumps({**settings, **result.to_json()}, indent=1))
    else:
        print_associations(caption, result, names)
    if args.out:  # printed before, if the disk is full
        path = save(args.out, make_encoders(draw_associations(result, names, caption)))
        if not args.json_:
            print(path)


decode = draw_picture(
    lambda run, latents, cond: run.plot_decoded(latents, cond=cond), *SINGLE_IMAGES
)


def compare(args: SimpleNamespace) -> None:
    run = open_requested_run(args)
    result = run.compare(load(args.other), split=args.split, features=args.features)
    print(json.dumps(result.to_json(), indent=1) if args.json_ else result)


def plot_traversal(run: Run, *, toward: str | None, labels: str | None, **options: Any) -> Any:
    """Draw a traversal, along the direction of a label in a table where one is given."""
    if labels is not None and toward is None:
        raise Error("--labels needs --toward, the column to move toward; give both.")
    direction = None if toward is None else run.find_direction(toward, labels=labels)
    return run.plot_traversal(toward=direction, **options)


traverse = draw_picture(plot_traversal, ".png", ".gif", ".npy")
interpolate = draw_picture(Run.plot_interpolation, ".png", ".gif", ".npy")
nearest = draw_picture(Run.plot_nearest, ".png", ".npy")
outliers = draw_picture(Run.plot_outliers, ".png", ".npy")
attribute = draw_picture(Run.plot_attribution, ".png", ".svg", ".npy")
map = draw_picture(Run.plot_map, ".png", ".svg")
project = draw_picture(Run.plot_projections, ".png", ".npy")
