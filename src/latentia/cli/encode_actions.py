"""The table of a run's latents."""

import sys
from types import SimpleNamespace

from latentia.cli.arguments import split_names
from latentia.core import distributed
from latentia.data.labels import Labels
from latentia.latents.table import write_table
from latentia.runs.open import open_run
from latentia.training.launch import init_distributed, rank0_first


def encode(args: SimpleNamespace) -> None:
    with init_distributed():
        run = open_run(args.run).with_beta(args.beta)
        model, labels = run.autoencoder(), Labels(args.labels, split_names(args.label_cols), "nan")
        images = rank0_first(lambda: run.images(args.data))
        split = rank0_first(lambda: run.split(args.split, images, default="all", labels=labels))
        if split.note and not distributed.rank():
            print(split.note, file=sys.stderr)
        membership = run.membership(split, images)
        path = write_table(args.out, model, split, membership, thumbnails=args.thumbnails)
        if not distributed.rank():
            print(path)
