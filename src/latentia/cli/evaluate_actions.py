"""Measurement of a run's metrics."""

import json
from types import SimpleNamespace
from typing import Any

from latentia.cli.tables import print_metrics
from latentia.core import distributed
from latentia.core.text import split_list
from latentia.metrics.measure import keep_result, make_table, measure_run
from latentia.runs.open import open_run
from latentia.training.launch import init_distributed, rank0_first


def evaluate(args: SimpleNamespace) -> None:
    with init_distributed():
        run = open_run(args.run).with_beta(args.beta)
        images = rank0_first(lambda: run.images(args.data))
        settings = {name: getattr(args, name) for name in ("features", "n", "k", "seed")}
        names, result = split_list(args.metrics, ()) if args.metrics else (), {}
        try:
            measure_run(run, images, args.split, names, settings, result)
        finally:  # what was measured before a metric failed is shown and kept too
            if result.get("metrics") and not distributed.rank():
                show_result(run.name, images.source.name, result, args.json_)
                keep_result(run, images, result)  # printed before, if the disk is full


def show_result(run: str, source: str, result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        table = make_table(result["metrics"])
        print_metrics(f"{run}, {table[0].split} split of {source}", table)
