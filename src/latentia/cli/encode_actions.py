"""The table of a run's latents."""

from types import SimpleNamespace

from latentia.cli.arguments import split_names
from latentia.core import distributed
from latentia.data.labels import Labels
from latentia.latents.principal_axes import find_principal_axes
from latentia.latents.table import encode_training_images, open_labelled_split, write_table
from latentia.runs.open import open_run
from latentia.training.launch import init_distributed, rank0_first


def encode(args: SimpleNamespace) -> None:
    with init_distributed():
        run = open_run(args.run).with_beta(args.beta)
        model, labels = run.autoencoder(), Labels(args.labels, split_names(args.label_cols), "nan")
        images = rank0_first(lambda: run.images(args.data))
        split, names = open_labelled_split(run, images, args.split, labels)
        axes = None
        if args.axes == "principal":
            axes = find_principal_axes(model, encode_training_images(run, model, images))
        path = write_table(args.out, model, split, names, axes=axes, thumbnails=args.thumbnails)
        if not distributed.rank():
            print(path)
