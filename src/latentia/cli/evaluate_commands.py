"""Options of the command that measures a run."""

from latentia.cli import options


def evaluate(
    run: options.RunName,
    data: options.Data = None,
    split: options.Split = None,
    metrics: str | None = None,
    n: options.MostImages = None,
    json_: options.Json = False,
    *,
    features: options.Features = "auto",
    k: int = 5000,
    seed: options.Seed = 0,
    beta: options.Beta = None,
) -> None:
    """Measure a run: likelihood, quality of samples and reconstructions, copies of training images.

    Several processes share the images of elbo and nll: torchrun --nproc_per_node 2 -m -- latentia
    evaluate RUN. The first process measures all other metrics.

    Parameters
    ----------
    metrics : METRIC,...
        one or more of elbo, nll (likelihood), fd, kd (distances of samples from images), prdc
        (precision, recall, density, coverage), image (error and sharpness of reconstructions),
        memorisation and disentanglement; the default is elbo, or fd for a model without an encoder
    k : N
        number of importance samples per image for the bound on nll, at least 1
    """
