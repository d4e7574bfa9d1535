"""A run that a command has opened, and the picture that it draws."""

from collections.abc import Callable
from types import SimpleNamespace

from latentia.api.run import Run
from latentia.api.train_and_load import load
from latentia.cli.tables import print_images
from latentia.core.errors import Error
from latentia.latents.parsing import LATENT_COLUMN
from latentia.report.grids import check_output

TABLE_SUFFIXES = (".csv", ".tsv", ".json")


def open_requested_run(args: SimpleNamespace, *suffixes: str) -> Run:
    """Open the run of a command; the suffix of `out` is checked before any work begins."""
    if hasattr(args, "table") and args.out.endswith(TABLE_SUFFIXES):
        raise Error(f"--out is a picture (.png or .npy); give --table {args.out} for the table.")
    if suffixes and args.out:
        check_output(args.out, *suffixes)
    if table := getattr(args, "table", None):
        check_output(table, *TABLE_SUFFIXES, option="--table")
    if latents := getattr(args, "latents_out", None):
        check_output(latents, ".csv", ".parquet", option="--latents-out")
    data = getattr(args, "data", None)  # `decode` reads no images
    return load(args.run, data).with_beta(args.beta)


def draw_picture(
    plot: Callable, *suffixes: str, after: Callable[[Run], None] | None = None
) -> Callable[[SimpleNamespace], None]:
    """Return the action of a command whose options are the parameters of a `plot_` method."""

    def draw(args: SimpleNamespace) -> None:
        run = open_requested_run(args, *suffixes)
        unused = ("run", "out", "table", "latents_out", "data", "beta")
        # no word of a list is the default of a method
        options = {k: None if v == () else v for k, v in vars(args).items() if k not in unused}
        picture = plot(run, **options)
        latents_out = getattr(args, "latents_out", None)
        if latents_out and picture.table is None:
            raise Error(f"{run.path} draws pixels and no latents; leave --latents-out out.")
        if picture.table is not None:
            others = (name for name in picture.table if not LATENT_COLUMN.fullmatch(name))
            scores = [name for name in others if name != "encoder"]
            if not {*scores} <= {"key", "condition"}:  # more than a table of latents
                print_images(picture.caption, picture.table[scores])
        if path := latents_out or getattr(args, "table", None):
            print(picture.save(path))
        print(picture.save(args.out))
        if after:
            after(run)

    return draw
