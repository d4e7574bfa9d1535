"""Measurement of a run's metrics."""

import json
from types import SimpleNamespace

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
                if args.json_:
                    print(json.dumps(result, indent=1))
                else:
                    table = make_table(result["metrics"])
                    title = f"{run.name}, {table[0].split} split of {images.source.name}"
                    print_metrics(title, table)
                keep_result(run, images, result)  # printed before, if the disk is full
