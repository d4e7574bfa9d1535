"""Measurement of a run, behind `latentia evaluate`."""

import json
from collections.abc import Mapping
from typing import Any

from latentia.cli.opened_run import open_inputs
from latentia.cli.options import Inputs
from latentia.cli.tables import print_metrics
from latentia.core import distributed
from latentia.metrics.measure import make_table, measure_run
from latentia.training.launch import init_distributed, rank0_first


def print_evaluation(
    inputs: Inputs, metrics: str | None, settings: Mapping[str, Any], as_json: bool
) -> None:
    with init_distributed():
        run = open_inputs(inputs)
        names = [name.strip() for name in metrics.split(",")] if metrics else []
        images = rank0_first(lambda: run.images)
        result = measure_run(run.folder, images, inputs.split, names, settings)
        if distributed.rank():
            return
    if as_json:
        print(json.dumps(result, indent=1))
        return
    table = make_table(result["metrics"])
    print_metrics(f"{run.name}, {table[0].split} split of {images.source.name}", table)
