"""Classifier of a data set's own labels, trained once and cached, whose features fit the data."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Model, Player, Role, StepContext, Term, Terms
from latentia.core.errors import Error, catch_write_errors
from latentia.core.progress import print_note, show_progress
from latentia.core.schedules import cosine
from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.data import Images
from latentia.data.cache import cache_root, make_key
from latentia.nets.conv import halving_sizes
from latentia.training.checkpoint import read_tensors
from latentia.training.events import (
    EndReason,
    Event,
    StateSaved,
    StepLogged,
    StepTaken,
    TrainingFinished,
)
from latentia.training.folder import TrainingFolder
from latentia.training.loop import train
from latentia.training.optimizers import Adam
from latentia.training.plan import Options, Plan
from latentia.training.state import load_weights

FEATURE_COUNT, MIN_EPOCHS, MIN_STEPS = 64, 4, 800
MAX_JUDGED = 2000  # held-out images on which the accuracy is measured
CONVERGED_LOSS = 1e-3  # nats, of each label
CLASSIFIER_VERSION = 3  # part of the cache's key: raise it with any change of network or training


class LabelClassifier(Model):
    """Convolutions to 64 features, then one linear layer for each label column.

    The loss of classes is the cross-entropy. Numbers are standardised and their loss is half the
    squared error, a Gaussian negative log-likelihood without its constant.
    """

    leaves_out_missing = True  # the loss has no pixels
    centre: Tensor
    scale: Tensor

    def __init__(self, images: Images):
        super().__init__()
        split, shape = images.split("train"), images.shape
        names = [name for name, values in split.columns.items() if values.ndim == 1]
        self.columns = {name: split.classes.get(name) for name in names}
        if not self.columns:
            raise Error(
                f"{images.to_metadata()['source']} has no label columns to learn features from; "
                "sort the images into class folders, or give a source with labels."
            )
        channels = (32, 64, 128)
        blocks: list[nn.Module] = []
        for c_in, c_out in zip((shape[0], *channels), channels, strict=False):
            blocks.append(nn.Conv2d(c_in, c_out, 3, stride=2, padding=1, bias=False))
            blocks += [nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.features = nn.Sequential(
            *blocks, nn.Flatten(), nn.Linear(channels[-1] * h * w, FEATURE_COUNT), nn.ReLU()
        )
        widths = [len(classes) if classes else 1 for classes in self.columns.values()]
        self.heads = nn.ModuleList([nn.Linear(FEATURE_COUNT, width) for width in widths])
        values = [split.columns[name].double() for name in self.columns]
        values = [v[~v.isnan()] for v in values]
        self.register_buffer("centre", torch.stack([v.mean() for v in values]).float())
        scale = torch.stack([v.std() for v in values]).float()
        self.register_buffer("scale", scale.nan_to_num(1.0).clamp_min(1e-12))

    def players(self) -> dict[str, Player]:
        return {"classifier": Player(self, self.terms)}

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        features = self.features(batch.image)
        terms: Terms = {}
        for k, (name, classes) in enumerate(self.columns.items()):
            output, label = self.heads[k](features).float(), batch.columns[name]
            if classes:
                value = F.cross_entropy(output, label, reduction="none", ignore_index=-1)
            else:
                target = (label.float() - self.centre[k]) / self.scale[k]
                error = output[:, 0] - target.nan_to_num()
                value = torch.where(target.isnan(), 0.0, 0.5 * error.square())
            terms[name] = Term(1.0, value, Role.SUPERVISION)
        return terms

    @torch.no_grad()
    def extract_features(self, images: Iterable[Tensor]) -> Float[Tensor, "n d"]:
        """Return features of batches of images (b, c, h, w) in [0, 1]."""
        return torch.cat([self.features(batch.to(self.centre)).cpu() for batch in images])

    @torch.no_grad()
    def classify(self, images: Iterable[Tensor], column: str = "label") -> Float[Tensor, "n k"]:
        """Return the probability of each class of a column."""
        return self.predict_column(column, self.extract_features(images)).softmax(1)

    def describe_accuracy(self, images: Images) -> str:
        """Return the accuracy on held-out images in words, such as "label 98% right".

        It is empty if no images were held out.
        """
        split = max(images.split("test"), images.split("validation"), key=len).subsample(MAX_JUDGED)
        if not len(split):
            return ""
        batches = split.iterate_batches(split.max_batch_size())
        features = self.extract_features(batch.image for batch in batches)
        texts = []
        for name, classes in self.columns.items():
            values, targets = self.predict_column(name, features), split.columns[name]
            has_label = ~targets.isnan() if classes is None else targets >= 0
            values, targets = values[has_label], targets[has_label]
            if not len(targets):
                continue
            if classes:
                accuracy = (values.argmax(1) == targets).double().mean()
                texts.append(f"{name} {accuracy:.0%} right")
            elif sd := targets.double().std(correction=0):
                error = (values[:, 0] - targets).double().square().mean().sqrt() / sd
                texts.append(f"{name} to {error:.2f} of its deviation")
        return "; ".join(texts)

    @torch.no_grad()
    def predict_column(self, column: str, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return logits of the column's classes, or the number (n, 1) in its own unit."""
        k = list(self.columns).index(column)
        output = self.heads[k](features.to(self.centre))
        if not self.columns[column]:
            output = output * self.scale[k] + self.centre[k]
        return output.cpu()


def train_until_converged(events: Iterator[Event], batch_size: int) -> Iterator[int]:
    """Yield numbers of images trained on, until the first save after convergence.

    Raises: Error if the training was stopped.
    """
    step, has_converged = 0, False
    for event in events:
        is_complete = isinstance(event, TrainingFinished) and event.reason == EndReason.COMPLETE
        if is_complete or (isinstance(event, StateSaved) and has_converged):
            return
        if isinstance(event, StepLogged):
            losses = event.players["classifier"]["terms"].values()
            has_converged = all(loss < CONVERGED_LOSS for loss in losses)
        if isinstance(event, StepLogged | StepTaken):
            yield (event.step - step) * batch_size
            step = event.step
    raise Error("The training of the label classifier was stopped; run the command again.")


def get_label_classifier(images: Images, seed: int = 0) -> LabelClassifier:
    """Return the classifier of the images' labels, trained on first use and cached.

    Raises: Error if the images have no label columns, or the training was stopped.
    """
    spec = images.to_metadata()
    n = spec["count"]["train"]
    with restore_global_generators():
        seed_global_generators(seed, "classifier")
        model = LabelClassifier(images)
    key = make_key(spec["fingerprint"], spec["split"], spec["labels"], seed, CLASSIFIER_VERSION)
    folder = cache_root() / "features" / key
    weights_path = TrainingFolder(folder).weights
    if not weights_path.exists():
        batch_size = min(128, n)
        epochs = max(MIN_EPOCHS, round(MIN_STEPS * batch_size / n))
        adam = Adam(2e-3, schedule=cosine(warmup=0.1))
        plan = Plan(model, images, {"classifier": adam}, batch_size, epochs)
        with catch_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        # a temporary folder: other processes may train the same classifier at the same time, and
        # the cache must hold complete files only
        with TemporaryDirectory(prefix=".part-", dir=folder) as scratch:
            run = TrainingFolder(Path(scratch))
            total = epochs * (n // batch_size) * batch_size
            counts = train_until_converged(train(plan, run, Options(seed=seed)), batch_size)
            for _ in show_progress(counts, total, "training a classifier of the labels: images"):
                pass
            run.weights.replace(weights_path)
    model.to(memory_format=torch.channels_last)  # pyright: ignore  # as in training: same bits
    try:
        load_weights(model, read_tensors(weights_path)[0], weights_path)
    except Error:
        print_note(f"{folder} is damaged; the classifier is trained again.")
        shutil.rmtree(folder)
        return get_label_classifier(images, seed)
    return model.eval().requires_grad_(False)
