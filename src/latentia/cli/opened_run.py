"""A run that a command has opened, and the picture that it draws."""

from collections.abc import Callable
from types import SimpleNamespace

from latentia.api.run import Run
from latentia.api.train_and_load import load
from latentia.cli.tables import print_images
from latentia.core.errors import Error
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
    data = getattr(args, "data", None)  # `decode` reads no images
    return load(args.run, data).with_beta(args.beta)


def draw_picture(plot: Callable, *suffixes: str) -> Callable[[SimpleNamespace], None]:
    """Return the action of a command whose options are the parameters of a `plot_` method."""

    def draw(args: SimpleNamespace) -> None:
        run = open_requested_run(args, *suffixes)
        others = ("run", "out", "table", "data", "beta")
        # no word of a list is the default of a method
        options = {k: None if v == () else v for k, v in vars(args).items() if k not in others}
        picture = plot(run, **options)
        if picture.table is not None:
            print_images(picture.caption, picture.table)
            if getattr(args, "table", None):
                print(picture.save(args.table))
        print(picture.save(args.out))

    return draw
