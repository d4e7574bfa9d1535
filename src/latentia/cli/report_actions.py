"""The report of a run."""

from types import SimpleNamespace

from latentia.api.train_and_load import load


def report(args: SimpleNamespace) -> None:
    print(load(args.run, args.data).report())
