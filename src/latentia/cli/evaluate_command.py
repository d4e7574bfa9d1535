"""The command that measures a run."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import arg

from latentia.cli.options import Beta, Data, Features, Inputs, Json, RunName, Seed, SplitName

Metrics = Annotated[
    str | None,
    arg(metavar="METRIC,..."),
    Doc(
        "one or more of elbo, nll, fd, kd, prdc, image, memorisation and disentanglement; the "
        "default is elbo, or fd for a model without an encoder"
    ),
]


def evaluate(
    run: RunName,
    data: Data = None,
    split: SplitName = None,
    metrics: Metrics = None,
    n: Annotated[
        int | None,
        arg(aliases=("-n",)),
        Doc(
            "number of images and of samples to compare, at least 2; elbo always takes all images, "
            "and by default so do the others, distances at most 10,000"
        ),
    ] = None,
    json_: Json = False,
    *,
    features: Features = "auto",
    k: Annotated[
        int, Doc("number of importance samples per image for the bound of nll, at least 1")
    ] = 5000,
    seed: Seed = 0,
    beta: Beta = None,
) -> None:
    """Measure a run: likelihood, distances of samples, reconstructions, copies; each with its n.

    Several processes (torchrun --nproc_per_node 2 -m -- latentia evaluate RUN) share the images of
    elbo and nll; the first one measures whatever compares sets.
    """
    from latentia.cli.evaluate_actions import measure_run

    options = {"features": features, "n": n, "k": k, "seed": seed}
    measure_run(Inputs(run, data, split, beta), metrics, options, json_)
