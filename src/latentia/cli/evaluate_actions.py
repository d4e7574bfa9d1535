"""Measurement of a run's metrics."""

import json
from types import SimpleNamespace

from latentia.cli.arguments import require_at_least
from latentia.cli.tables import print_metrics
from latentia.core import distributed
from latentia.core.contract import HasGenerator
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import measure_metrics, save_metrics
from latentia.runs.open import open_run
from latentia.training.launch import init_distributed, rank0_first


def evaluate(args: SimpleNamespace) -> None:
    require_at_least("-n", args.n, 2)
    require_at_least("--k", args.k, 1)
    with init_distributed():
        run = open_run(args.run).with_beta(args.beta)
        default = "fd" if isinstance(run.model(), HasGenerator) else "elbo"
        names = [name.strip() for name in (args.metrics or default).split(",")]
        images = rank0_first(lambda: run.images(args.data))
        split = rank0_first(lambda: run.split(args.split, images))
        evaluation = Evaluation(run, images, split, args.features, args.n, args.k, args.seed)
        result = measure_metrics(evaluation, names)
        if distributed.rank():
            return
    # the file holds results at the recipe's own beta
    if run.is_training_data(images) and args.beta is None:
        save_metrics(run, result)
    if args.json_:
        print(json.dumps(result, indent=1))
        return
    print_metrics(f"{run.name}, {split.name} split of {images.source.name}", result["metrics"])
