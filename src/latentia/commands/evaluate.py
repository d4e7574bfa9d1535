"""The command that measures a run."""

import json
from typing import Annotated

from typing_extensions import Doc
from tyro.conf import arg

from latentia.commands.flags import AtBeta, Data, Json, RunFolder, Seed, SplitName
from latentia.core.errors import Error

Metrics = Annotated[
    str | None,
    Doc(
        "any of elbo, nll, fd, kd, prdc, image, memorisation, disentanglement: elbo,fd for two; "
        "default: elbo, and fd of what only draws"
    ),
]
Features = Annotated[
    str, Doc("what images are compared in: auto, classifier, pixels, inception or dinov2")
]


def evaluate(
    run: RunFolder,
    data: Data = None,
    split: SplitName = None,
    metrics: Metrics = None,
    features: Features = "auto",
    n: Annotated[
        int | None,
        arg(aliases=("-n",)),
        Doc("images and samples, but for elbo; default: all, for distances at most 10,000"),
    ] = None,
    k: Annotated[int, Doc("draws an image of the likelihood's bound")] = 5000,
    seed: Seed = 0,
    beta: AtBeta = None,
    json_: Json = False,
) -> None:
    """Measure a run: likelihood, distances of samples, reconstructions, copies; each with its n.

    Several processes (torchrun --nproc_per_node 2 -m -- latentia evaluate RUN) share the images of
    elbo and nll; the first one measures whatever compares sets.
    """
    from latentia.core import distributed
    from latentia.core.contract import HasGenerator
    from latentia.metrics.builtin import keep, measure
    from latentia.metrics.evaluation import Evaluation
    from latentia.runs.open import open_run
    from latentia.training.launch import first_before_all, together

    for flag, given, least in (("-n", n, 2), ("--k", k, 1)):
        if given is not None and given < least:
            raise Error(f"{flag} is {given}; it must be at least {least}.")
    with together():
        opened = open_run(run).with_beta(beta)
        if metrics is None:
            metrics = "fd" if isinstance(opened.model(), HasGenerator) else "elbo"
        names = [name.strip() for name in metrics.split(",")]
        images = first_before_all(lambda: opened.images(data))
        part = first_before_all(lambda: opened.split(split, images))
        result = measure(Evaluation(opened, images, part, features, n, k, seed), names)
        if distributed.rank():
            return
    if (
        opened.is_training_data(images) and beta is None
    ):  # the file is of the run as it answers by itself
        keep(opened, result)
    if json_:
        print(json.dumps(result, indent=1))
        return
    from latentia.show import figures

    figures(f"{opened.name}, {part.name} split of {images.source.name}", result["metrics"])
