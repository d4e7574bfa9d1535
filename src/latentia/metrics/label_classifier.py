"""Features that fit the data: a classifier trained on its own labels or factors, and cached."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Model, Player, StepContext, Terms
from latentia.core.errors import Error
from latentia.core.schedules import cosine
from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.data import Images
from latentia.data.cache import cache_root, make_key
from latentia.nets.conv import halving_sizes
from latentia.training.checkpoint import read_tensors
from latentia.training.events import EndReason, TrainingFinished
from latentia.training.folder import TrainingFolder
from latentia.training.loop import train
from latentia.training.optimizers import Adam
from latentia.training.plan import Options, Plan
from latentia.training.state import load_weights

FEATURE_COUNT, MIN_EPOCHS, MIN_STEPS = (
    64,
    4,
    800,
)  # of the features; of the training, at least so many of each
CLASSIFIER_VERSION = 2  # of the network and its training: part of the cache's key


class LabelClassifier(Model):
    """Convolutions to `WIDTH` features, then one Linear for each column: its classes, or a number.

    Numbers are standardised; their term is the squared error / 2, a Gaussian without its constant.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, images: Images):
        super().__init__()
        split = images.split("train")
        shape = images.shape
        self.columns = {
            name: split.classes.get(name)
            for name, values in split.columns.items()
            if values.ndim == 1
        }
        if not self.columns:
            raise Error(
                f"{images.to_metadata()['source']} has no label columns to learn features from; sort the "
                "images into class folders, or give a source with labels."
            )
        channels = (32, 64, 128)
        blocks: list[nn.Module] = []
        for in_channels, out_channels in zip((shape[0], *channels), channels, strict=False):
            blocks.append(nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False))
            blocks += [nn.BatchNorm2d(out_channels), nn.ReLU()]
        h, w = halving_sizes((shape[1], shape[2]), len(channels))[-1]
        self.features = nn.Sequential(
            *blocks, nn.Flatten(), nn.Linear(channels[-1] * h * w, FEATURE_COUNT), nn.ReLU()
        )
        output_counts = [len(names) if names else 1 for names in self.columns.values()]
        self.heads = nn.ModuleList([nn.Linear(FEATURE_COUNT, n) for n in output_counts])
        column_values = [split.columns[name].double() for name in self.columns]
        self.register_buffer("centre", torch.stack([v.mean() for v in column_values]).float())
        deviations = torch.stack([v.std() for v in column_values]).float()
        self.register_buffer("scale", deviations.nan_to_num(1.0).clamp_min(1e-12))

    def players(self) -> dict[str, Player]:
        return {"classifier": Player(self, self.terms)}

    def terms(self, batch: Batch, context: StepContext, shared: None = None) -> Terms:
        features = self.features(batch.image)
        terms: Terms = {}
        for k, (name, classes) in enumerate(self.columns.items()):
            output, label = self.heads[k](features).float(), batch.columns[name]
            if classes:
                value = F.cross_entropy(output, label, reduction="none")
            else:
                target = (label.float() - self.centre[k]) / self.scale[k]
                value = 0.5 * (output[:, 0] - target).square()
            terms[name] = (1.0, value)
        return terms

    @torch.no_grad()
    def extract_features(self, images: Iterable[Tensor]) -> Float[Tensor, "n d"]:
        """Features of batches of images (b, c, h, w) in [0, 1]."""
        return torch.cat([self.features(batch).cpu() for batch in images])

    @torch.no_grad()
    def classify(self, images: Iterable[Tensor], column: str = "label") -> Float[Tensor, "n k"]:
        """Probability of each class of a column."""
        return torch.cat(
            [self.predict_column(column, self.features(batch)).softmax(1) for batch in images]
        )

    def describe_accuracy(self, images: Images, limit: int = 2000) -> str:
        """How well it tells images that it has not seen: "label 98 % right"; nothing of none."""
        split = max(images.split("test"), images.split("validation"), key=len).subsample(limit)
        if not len(split):
            return ""
        descriptions, features = (
            [],
            self.extract_features(
                batch.image for batch in split.iterate_batches(split.max_batch_size())
            ),
        )
        for name in self.columns:
            values, targets = self.predict_column(name, features), split.columns[name]
            if self.columns[name]:
                descriptions.append(
                    f"{name} {(values.argmax(1) == targets).double().mean():.0%} right"
                )
            elif deviation := targets.double().std(correction=0):
                error = (values[:, 0] - targets).double().square().mean().sqrt() / deviation
                descriptions.append(f"{name} to {error:.2f} of its deviation")
        return "; ".join(descriptions)

    @torch.no_grad()
    def predict_column(self, column: str, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Logits of the column's classes, or the number, (n, 1), in its own unit."""
        k = list(self.columns).index(column)
        output = self.heads[k](features).cpu()
        return output if self.columns[column] else output * self.scale[k] + self.centre[k]


def get_label_classifier(images: Images, seed: int = 0) -> LabelClassifier:
    """The classifier of these images' training split, trained once and then read from the cache.

    Raises: Error if the images have no label columns, or its training was stopped.
    """
    spec = images.to_metadata()
    with restore_global_generators():
        seed_global_generators(seed, "classifier")
        model = LabelClassifier(images)
    folder = (
        cache_root()
        / "features"
        / make_key(spec["fingerprint"], spec["split"], seed, CLASSIFIER_VERSION)
    )
    weights_path = TrainingFolder(folder).weights
    if not weights_path.exists():
        batch_size = min(128, spec["count"]["train"])
        epochs = max(MIN_EPOCHS, round(MIN_STEPS * batch_size / spec["count"]["train"]))
        adam = Adam(2e-3, schedule=cosine(warmup=0.1))
        plan = Plan(model, images, {"classifier": adam}, batch_size, epochs)
        folder.mkdir(parents=True, exist_ok=True)
        # in a folder of its own: others may want the same one, and what is kept is whole
        with TemporaryDirectory(prefix=".part-", dir=folder) as scratch:
            run = TrainingFolder(Path(scratch))
            *_, last_event = train(plan, run, Options(seed=seed))
            if not (
                isinstance(last_event, TrainingFinished) and last_event.reason == EndReason.COMPLETE
            ):
                raise Error("The classifier of the labels was not trained to its end; ask again.")
            run.weights.replace(weights_path)
    model.to(memory_format=torch.channels_last)  # pyright: ignore  # as it was trained: the same bits
    load_weights(model, read_tensors(weights_path)[0], weights_path)
    return model.eval().requires_grad_(False)
