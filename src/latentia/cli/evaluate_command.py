"""The command that measures a run."""

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
    """Measure a run: likelihood, distances of samples, reconstructions, copies; each with its n.

    Several processes share the images of elbo and nll: torchrun --nproc_per_node 2 -m -- latentia
    evaluate RUN. The first process measures all other metrics.

    Parameters
    ----------
    metrics : METRIC,...
        one or more of elbo, nll, fd, kd, prdc, image, memorisation and disentanglement; the default
        is elbo, or fd for a model without an encoder
    k : N
        number of importance samples per image for the bound of nll, at least 1
    """
    from latentia.cli.evaluate_actions import measure_run

    settings = {"features": features, "n": n, "k": k, "seed": seed}
    measure_run(options.Inputs(run, data, split, beta), metrics, settings, json_)
