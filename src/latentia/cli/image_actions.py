"""Samples and reconstructions of a run."""

from types import SimpleNamespace

from latentia.cli.opened_run import open_requested_run


def sample(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".npy")
    options = {
        name: getattr(args, name) for name in ("seed", "cond", "sampler", "steps", "guidance")
    }
    print(run.plot_samples(args.n, **options).save(args.out))


def reconstruct(args: SimpleNamespace) -> None:
    run = open_requested_run(args, ".png", ".npy")
    picture = run.plot_reconstructions(args.images or None, n=args.n, split=args.split)
    print(picture.save(args.out))
