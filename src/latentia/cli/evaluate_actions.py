"""Measurement of a run, behind `latentia evaluate`."""

import json
from collections.abc import Mapping
from typing import Any

from latentia.cli.arguments import require_at_least
from latentia.cli.options import Inputs
from latentia.cli.tables import print_metrics
from latentia.core import distributed
from latentia.core.contract import HasGenerator
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import measure_metrics, save_metrics
from latentia.runs.open import open_run
from latentia.training.launch import init_distributed, rank0_first


def measure_run(
    inputs: Inputs, metrics: str | None, settings: Mapping[str, Any], as_json: bool
) -> None:
    require_at_least("-n", settings["n"], 2)
    require_at_least("--k", settings["k"], 1)
    with init_distributed():
        run = open_run(inputs.run).with_beta(inputs.beta)
        if metrics is None:
            metrics = "fd" if isinstance(run.model(), HasGenerator) else "elbo"
        names = [name.strip() for name in metrics.split(",")]
        images = rank0_first(lambda: run.images(inputs.data))
        split = rank0_first(lambda: run.split(inputs.split, images))
        result = measure_metrics(Evaluation(run, images, split, **settings), names)
        if distributed.rank():
            return
    # the file holds results at the recipe's own beta
    if run.is_training_data(images) and inputs.beta is None:
        save_metrics(run, result)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    print_metrics(f"{run.name}, {split.name} split of {images.source.name}", result["metrics"])
