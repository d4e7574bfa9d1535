"""Features that fit the data: a classifier trained on its own labels or factors, and cached."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Model, Moment, Player, Terms
from latentia.core.errors import Error
from latentia.core.schedules import cosine
from latentia.core.seeding import keep_generators, seed_global
from latentia.data import Images
from latentia.data.cache import key, root
from latentia.nets.conv import halvings
from latentia.training.checkpoint import read_tensors
from latentia.training.events import EndReason, Finished
from latentia.training.folder import TrainingFolder
from latentia.training.loop import train
from latentia.training.optimizers import Adam
from latentia.training.plan import Options, Plan
from latentia.training.state import load_weights

WIDTH, EPOCHS, STEPS = 64, 4, 800  # of the features; of the training, at least so many of each
VERSION = 2  # of the network and its training: part of the cache's key


class Classifier(Model):
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
                f"{images.spec()['source']} has no label columns to learn features from; sort the "
                "images into class folders, or give a source with labels."
            )
        channels = (32, 64, 128)
        blocks: list[nn.Module] = []
        for before, after in zip((shape[0], *channels), channels, strict=False):
            blocks.append(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False))
            blocks += [nn.BatchNorm2d(after), nn.ReLU()]
        h, w = halvings((shape[1], shape[2]), len(channels))[-1]
        self.features = nn.Sequential(
            *blocks, nn.Flatten(), nn.Linear(channels[-1] * h * w, WIDTH), nn.ReLU()
        )
        outputs = [len(names) if names else 1 for names in self.columns.values()]
        self.heads = nn.ModuleList([nn.Linear(WIDTH, n) for n in outputs])
        numbers = [split.columns[name].double() for name in self.columns]
        self.register_buffer("centre", torch.stack([v.mean() for v in numbers]).float())
        spread = torch.stack([v.std() for v in numbers]).float()
        self.register_buffer("scale", spread.nan_to_num(1.0).clamp_min(1e-12))

    def players(self) -> dict[str, Player]:
        return {"classifier": Player(self, self.terms)}

    def terms(self, batch: Batch, moment: Moment, shared: None = None) -> Terms:
        features = self.features(batch.image)
        terms: Terms = {}
        for k, (name, classes) in enumerate(self.columns.items()):
            output, truth = self.heads[k](features).float(), batch.columns[name]
            if classes:
                value = F.cross_entropy(output, truth, reduction="none")
            else:
                target = (truth.float() - self.centre[k]) / self.scale[k]
                value = 0.5 * (output[:, 0] - target).square()
            terms[name] = (1.0, value)
        return terms

    @torch.no_grad()
    def embed(self, images: Iterable[Tensor]) -> Float[Tensor, "n d"]:
        """Features of batches of images (b, c, h, w) in [0, 1]."""
        return torch.cat([self.features(part).cpu() for part in images])

    @torch.no_grad()
    def classify(self, images: Iterable[Tensor], column: str = "label") -> Float[Tensor, "n k"]:
        """Probability of each class of a column."""
        return torch.cat([self.says(column, self.features(part)).softmax(1) for part in images])

    def told(self, images: Images, most: int = 2000) -> str:
        """How well it tells images that it has not seen: "label 98 % right"; nothing of none."""
        split = max(images.split("test"), images.split("validation"), key=len).some(most)
        if not len(split):
            return ""
        said, features = [], self.embed(batch.image for batch in split.batches(split.at_once()))
        for name in self.columns:
            values, truth = self.says(name, features), split.columns[name]
            if self.columns[name]:
                said.append(f"{name} {(values.argmax(1) == truth).double().mean():.0%} right")
            elif spread := truth.double().std(correction=0):
                error = (values[:, 0] - truth).double().square().mean().sqrt() / spread
                said.append(f"{name} to {error:.2f} of its deviation")
        return "; ".join(said)

    @torch.no_grad()
    def says(self, column: str, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Logits of the column's classes, or the number, (n, 1), in its own unit."""
        k = list(self.columns).index(column)
        output = self.heads[k](features).cpu()
        return output if self.columns[column] else output * self.scale[k] + self.centre[k]


def classifier(images: Images, seed: int = 0) -> Classifier:
    """The classifier of these images' training split, trained once and then read from the cache.

    Raises: Error if the images have no label columns, or its training was stopped.
    """
    spec = images.spec()
    with keep_generators():
        seed_global(seed, "classifier")
        model = Classifier(images)
    folder = root() / "features" / key(spec["fingerprint"], spec["split"], seed, VERSION)
    kept = TrainingFolder(folder).weights
    if not kept.exists():
        batch = min(128, spec["count"]["train"])
        epochs = max(EPOCHS, round(STEPS * batch / spec["count"]["train"]))
        adam = Adam(2e-3, schedule=cosine(warmup=0.1))
        plan = Plan(model, images, {"classifier": adam}, batch, epochs)
        folder.mkdir(parents=True, exist_ok=True)
        # in a folder of its own: others may want the same one, and what is kept is whole
        with TemporaryDirectory(prefix=".part-", dir=folder) as scratch:
            run = TrainingFolder(Path(scratch))
            *_, end = train(plan, run, Options(seed=seed))
            if not (isinstance(end, Finished) and end.reason == EndReason.COMPLETE):
                raise Error("The classifier of the labels was not trained to its end; ask again.")
            run.weights.replace(kept)
    model.to(memory_format=torch.channels_last)  # pyright: ignore  # as it was trained: the same bits
    load_weights(model, read_tensors(kept)[0], kept)
    return model.eval().requires_grad_(False)
