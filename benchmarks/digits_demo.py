"""Count the samples of a digits_vae run that a classifier recognises.

python benchmarks/digits_demo.py runs/digits_vae

The classifier is a support vector machine with probabilities from 5-fold cross-validation, fitted
on the training images. The script also prints its accuracy, and the fraction of real test images
that it recognises, because no sampler can do better than real digits.
"""

import argparse

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC

from latentia.runs.folder import RunFolder

THRESHOLD, SAMPLES = 0.8, 1000  # probability of a recognised digit


def main(path: str) -> None:
    run = RunFolder.open(path)
    images = run.images()
    batches = {name: images.split(name).get_batch(slice(None)) for name in ("train", "test")}
    pixels = {name: batch.image.flatten(1).numpy() for name, batch in batches.items()}
    labels = {name: batch.columns["label"].numpy() for name, batch in batches.items()}
    classifier = CalibratedClassifierCV(SVC(C=10, gamma="scale"), ensemble=False, cv=5)
    classifier.fit(pixels["train"], labels["train"])
    samples = run.model().sample(SAMPLES, seed=0).flatten(1).numpy()
    probabilities = {
        name: classifier.predict_proba(x)
        for name, x in (("real", pixels["test"]), ("sampled", samples))
    }
    accuracy = classifier.score(pixels["test"], labels["test"])
    counts = np.bincount(probabilities["sampled"].argmax(1), minlength=10)
    print(f"classifier: accuracy {accuracy:.3f} on {len(labels['test'])} test images")
    for name, probability in probabilities.items():
        fraction = (probability.max(1) > THRESHOLD).mean()
        error = (fraction * (1 - fraction) / len(probability)) ** 0.5
        print(f"{name}: {fraction:.3f} +- {error:.3f} have a class of probability > {THRESHOLD}")
    print(f"sampled digits by class, of {SAMPLES}: {', '.join(map(str, counts))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    main(parser.parse_args().run)
