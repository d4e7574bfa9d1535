"""Compare strengths of guidance of a learned prior by classes of photographs.

python benchmarks/guidance.py RUN [--guidance 1 1.5 2 2.5 3] [--label label]

Samples have the classes of the test images. The table has the share in which a classifier of the
labels, trained on real images, finds the class asked for (its accuracy on real ones in the last
row), kernel distance and recall in its features, kernel distance in those of EfficientNet, and the
standard deviation of the pixels over that of real ones. ±: standard errors.
"""

import argparse

import torch

import latentia
from latentia.core.text import format_with_error
from latentia.metrics.coverage import prdc
from latentia.metrics.distribution import estimate_kernel_distance
from latentia.metrics.features import make_extractor
from latentia.metrics.label_classifier import get_label_classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1, 1.5, 2, 2.5, 3])
    parser.add_argument("--label", default="label")
    args = parser.parse_args()
    run = latentia.load(args.run)
    images, test = run.images, run.images.split("test")
    classifier = get_label_classifier(images)
    extractors = classifier.extract_features, make_extractor("efficientnet", images).extract
    pixels, labels = test.get_batch(slice(None)).image, test.columns[args.label]
    names = images.get_class_names(args.label)
    real = [extract(pixels.split(128)) for extract in extractors]
    print("| guidance | class found | distance | recall | EfficientNet | deviation of pixels |")
    print("|---|---|---|---|---|---|")
    for guidance in args.guidance:
        parts, asked = [], []
        for label, count in enumerate(torch.bincount(labels, minlength=len(names)).tolist()):
            if count:
                drawn = run.sample(count, seed=label, cond=names[label], guidance=guidance)
                parts.append(drawn)
                asked += [label] * count
        samples = torch.cat(parts)
        own, pretrained = (extract(samples.split(128)) for extract in extractors)
        predicted = classifier.predict_column(args.label, own).argmax(1)
        share = (predicted == torch.tensor(asked)).double().mean()
        distances = [
            format_with_error(estimate.value, estimate.error)
            for estimate in map(estimate_kernel_distance, real, (own, pretrained))
        ]
        spread = samples.std(0).mean() / pixels.std(0).mean()
        recall = prdc(real[0], own).recall
        print(f"| {guidance:g} | {share:.1%} | {distances[0]} | {recall:.2f} ", end="")
        print(f"| {distances[1]} | {spread:.2f} |", flush=True)
    predicted = classifier.predict_column(args.label, real[0]).argmax(1)
    print(f"| real images | {(predicted == labels).double().mean():.1%} | | | | 1 |")


if __name__ == "__main__":
    main()
