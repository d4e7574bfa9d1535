"""Upload of a run to the Hugging Face hub."""

from types import SimpleNamespace

from latentia.api.train_and_load import load


def push(args: SimpleNamespace) -> None:
    print(load(args.run).push(args.name, private=args.private, originals=args.originals))
