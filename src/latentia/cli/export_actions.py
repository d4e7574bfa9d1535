"""Export of a run to the formats of other programs."""

from types import SimpleNamespace

from latentia.cli.opened_run import open_requested_run


def export(args: SimpleNamespace) -> None:
    print(open_requested_run(args).export(args.to, args.out))
