"""Draw samples by class, or real images, in random order, and keep their classes apart.

python benchmarks/blind_sheet.py RUN --out sheet            # samples of a conditional run
python benchmarks/blind_sheet.py RUN --real --out real      # test images of the same classes

A person who has not seen the data names the class of each picture of OUT.png, from the names that
are printed; OUT.txt holds the true ones, a row of the sheet on each line.
"""

import argparse
import json
from pathlib import Path

import torch

import latentia
from latentia.report.grids import make_grid

COLUMNS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--real", action="store_true", help="test images in place of samples")
    parser.add_argument("--label", default="label")
    parser.add_argument("-n", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    run = latentia.load(args.run)
    names = run.images.classes[args.label] or []
    generator = torch.Generator().manual_seed(args.seed)
    true = torch.randint(len(names), (args.n,), generator=generator)
    print(json.dumps(names))
    if args.real:
        split = run.images.split("test")
        labels = split.get_batch(torch.arange(len(split))).columns[args.label]
        order = torch.randperm(len(split), generator=generator)
        rows = [order[labels[order] == each][k] for k, each in enumerate(true.tolist())]
        images = split.get_batch(torch.stack(rows)).image
    else:
        images = run.sample(args.n, cond=[names[k] for k in true.tolist()], seed=args.seed)
    make_grid(images, COLUMNS, "", min_side=64).save(args.out.with_suffix(".png"))
    lines = [" ".join(names[k] for k in row) for row in true.split(COLUMNS)]
    args.out.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
