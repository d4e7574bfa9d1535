"""Samples and reconstructions of a run."""

from types import SimpleNamespace

from latentia.cli.arguments import require_at_least
from latentia.cli.opened_run import OpenedRun
from latentia.report.rendered_images import render_reconstructions, render_samples


def sample(args: SimpleNamespace) -> None:
    require_at_least("-n", args.n, 1)
    opened = OpenedRun(args, ".png", ".npy")
    options = {"sampler": args.sampler, "steps": args.steps, "guidance": args.guidance}
    options = {name: value for name, value in options.items() if value is not None}
    run, model = opened.folder, opened.folder.model()
    rendered = render_samples(run, model, args.n, args.seed, options, args.cond, args.data)
    opened.save(rendered.encoders)


def reconstruct(args: SimpleNamespace) -> None:
    require_at_least("-n", args.n, 1)
    opened = OpenedRun(args, ".png", ".npy")
    model = opened.autoencoder
    if args.images:
        images, title = opened.load_images(args.images), "images"
    else:
        split = opened.load_split()
        images, title = split.get_batch(slice(0, args.n)).image, f"{split.name} images"
    opened.save(render_reconstructions(opened.folder, model, images, title).encoders)
