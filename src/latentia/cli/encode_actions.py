"""The table of a run's latents."""

import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa

from latentia.core import distributed
from latentia.core.errors import Error
from latentia.core.folders import fill_folder, is_free
from latentia.data import Images, Split
from latentia.data.labels import Labels
from latentia.data.listing import list_files
from latentia.data.name_matching import strip_pages
from latentia.latents.clusters import Clusters, add_clusters, check_number
from latentia.latents.principal_axes import find_principal_axes
from latentia.latents.table import encode_training_images, open_labelled_split, write_table
from latentia.metrics.cluster_agreement import add_agreement
from latentia.report.grids import check_output
from latentia.runs.open import open_run
from latentia.training.launch import init_distributed, rank0_first


def encode(args: SimpleNamespace) -> None:
    for option in ("sheet", "copy_to") if args.clusters is None else ():
        if getattr(args, option):
            raise Error(f"--{option.replace('_', '-')} needs groups; give --clusters auto too.")
    if args.sheet:
        check_output(args.sheet, ".png", option="--sheet")
    with init_distributed():
        run = open_run(args.run).with_beta(args.beta)
        model, labels = run.autoencoder(), Labels(args.labels, args.label_cols, "nan")
        images = rank0_first(lambda: run.images(args.data))
        split, names = open_labelled_split(run, images, args.split, labels)
        axes = None
        if args.clusters is not None:
            check_number(args.clusters, len(split))
        files = find_files(images, split, Path(args.copy_to)) if args.copy_to else []
        clusters = None

        @distributed.local_only()
        def group_images(table: pa.Table) -> pa.Table:
            nonlocal clusters
            table, clusters = add_clusters(table, model.latent_shape, args.clusters)
            print(add_agreement(clusters, run, images, split, math.prod(model.latent_shape)))
            if args.sheet:
                from latentia.report.cluster_sheet import render_clusters

                print(render_clusters(run.name, split, clusters).save(args.sheet))
            return table

        if args.axes == "principal":
            axes = find_principal_axes(model, encode_training_images(run, model, images))
        add_columns = None if args.clusters is None else group_images
        options = {"axes": axes, "thumbnails": args.thumbnails, "add_columns": add_columns}
        path = write_table(args.out, model, split, names, **options)
        if not distributed.rank():
            print(path if args.clusters is None else f"{path}: table, with the group of each image")
            if clusters and args.copy_to:  # last: a folder with copies has its table
                copy_files(files, split, clusters, target := Path(args.copy_to).expanduser())
                print(f"{target}: copies of the image files, by group")


def find_files(images: Images, split: Split, target: Path) -> list[Path]:
    """Return the file of each image.

    Raises: Error if one is no file of a folder, or the target has files or lies in that folder
    """
    root, target = Path(images.source.name).expanduser(), target.expanduser()
    paths = {file.key: file.path for file in list_files(root)} if root.is_dir() else {}
    keys = strip_pages(split.keys)
    if missing := [key for key in keys if key not in paths]:
        raise Error(f"--copy-to copies files of a folder, and {missing[0]} is none; leave it out.")
    if target.exists() and not (target.is_dir() and is_free(target)):
        raise Error(f"--copy-to {target} exists, and nothing is overwritten; give a new folder.")
    if target.resolve().is_relative_to(root.resolve()):
        raise Error(f"--copy-to {target} is in the folder of the images; give another folder.")
    return [paths[key] for key in keys]


def copy_files(files: list[Path], split: Split, clusters: Clusters, target: Path) -> None:
    """Copy each file below the folder of its group, with the folders of its key."""
    with fill_folder(target, "give another --copy-to") as folder:
        for file, key, group in zip(files, strip_pages(split.keys), clusters.labels, strict=True):
            copy = folder / f"cluster-{group}" / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():  # another page of the same file
                shutil.copy2(file, copy)
