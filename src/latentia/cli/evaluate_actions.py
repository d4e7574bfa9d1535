"""Measurement of a run, behind `latentia evaluate`."""

import json
from collections.abc import Mapping
from typing import Any

from latentia.cli.arguments import require_at_least
from latentia.cli.options import Inputs
from latentia.cli.tables import print_metrics
from latentia.core import processes
from latentia.core.contract import HasGenerator
from latentia.engine.launch import first_before_all, together
from latentia.engine.run import Run
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measures import keep, measure


def measure_run(
    inputs: Inputs, metrics: str | None, options: Mapping[str, Any], as_json: bool
) -> None:
    require_at_least("-n", options["n"], 2)
    require_at_least("--k", options["k"], 1)
    with together():
        run = Run.open(inputs.run).at(inputs.beta)
        if metrics is None:
            metrics = "fd" if isinstance(run.model(), HasGenerator) else "elbo"
        names = [name.strip() for name in metrics.split(",")]
        images = first_before_all(lambda: run.images(inputs.data))
        part = first_before_all(lambda: run.part(inputs.split, images))
        result = measure(Evaluation(run, images, part, **options), names)
        if processes.rank():
            return
    if run.owns(images) and inputs.beta is None:  # the file holds results at the recipe's beta
        keep(run, result)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    print_metrics(f"{run.name}, {part.name} split of {images.source.name}", result["metrics"])
