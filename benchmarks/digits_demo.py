"""How many digits drawn from the prior of a digits_vae run does a classifier recognise?

python benchmarks/digits_demo.py runs/digits_vae

The classifier (support vectors, probabilities calibrated by 5-fold cross-validation) is fitted on
the training images; its accuracy and its own share of sure answers on real test images are printed
beside, since no sampler can beat real digits.
"""

import sys

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import SVC

import latentia

SURE, SAMPLES = 0.8, 1000


def main(path: str) -> None:
    run = latentia.Run.open(path)
    images = run.images()
    rows = {name: images.split(name).batch(slice(None)) for name in ("train", "test")}
    pixels = {name: batch.image.flatten(1).numpy() for name, batch in rows.items()}
    labels = {name: batch.columns["label"].numpy() for name, batch in rows.items()}
    classifier = CalibratedClassifierCV(SVC(C=10, gamma="scale"), ensemble=False, cv=5)
    classifier.fit(pixels["train"], labels["train"])
    drawn = run.model().sample(SAMPLES, seed=0).flatten(1).numpy()
    sure = {
        name: classifier.predict_proba(x)
        for name, x in (("real", pixels["test"]), ("drawn", drawn))
    }
    accuracy = classifier.score(pixels["test"], labels["test"])
    counts = np.bincount(sure["drawn"].argmax(1), minlength=10)
    print(f"classifier: accuracy {accuracy:.3f} on {len(labels['test'])} test images")
    for name, probability in sure.items():
        share = (probability.max(1) > SURE).mean()
        error = (share * (1 - share) / len(probability)) ** 0.5
        print(f"{name}: {share:.3f} +- {error:.3f} have a class of probability > {SURE}")
    print(f"drawn digits by class, of {SAMPLES}: {', '.join(map(str, counts))}")


if __name__ == "__main__":
    main(sys.argv[1])
