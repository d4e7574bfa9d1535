"""Report, export and upload of a run."""

from types import SimpleNamespace

from latentia.api.train_and_load import load
from latentia.cli.opened_run import open_requested_run


def report(args: SimpleNamespace) -> None:
    print(load(args.run, args.data).report())


def export(args: SimpleNamespace) -> None:
    print(open_requested_run(args).export(args.to, args.out))


def push(args: SimpleNamespace) -> None:
    print(load(args.run).push(args.name, private=args.private, originals=args.originals))
