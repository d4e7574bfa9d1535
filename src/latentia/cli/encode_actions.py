"""The table of a run's latents."""

import sys
from types import SimpleNamespace

from latentia.cli.opened_run import OpenedRun
from latentia.core import distributed
from latentia.latents.table import write_table
from latentia.training.launch import init_distributed, rank0_first


def encode(args: SimpleNamespace) -> None:
    with init_distributed():
        opened = OpenedRun(args)
        run, model, labels = opened.folder, opened.autoencoder, opened.make_labels("nan")
        images = rank0_first(lambda: run.images(args.data))
        split = rank0_first(lambda: run.split(args.split, images, default="all", labels=labels))
        if split.note and not distributed.rank():
            print(split.note, file=sys.stderr)
        membership = run.membership(split, images)
        path = write_table(args.out, model, split, membership, thumbnails=args.thumbnails)
        if not distributed.rank():
            print(path)
