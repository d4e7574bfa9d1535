"""What images are compared in: features by name, never one in another's place."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.tensors import displayable, to_bytes
from latentia.data import Images
from latentia.metrics.label_classifier import classifier
from latentia.training.parameter_types import nearest

SIDE = 16  # pixels a side that are compared, at most: a covariance of more has too many entries
DINO = "facebook/dinov2-small"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of colours


class Embedding(NamedTuple):
    """embed: batches of images (b, c, h, w) in [0, 1] to features (n, d), float32; note: how well
    the features know the data, where that can be said.
    """

    name: str
    embed: Callable[[Iterable[Tensor]], Float[Tensor, "n d"]]
    note: str = ""


def embedding(name: str, images: Images) -> Embedding:
    """auto: `classifier` where the images have labels, else `pixels`.

    Raises: Error if there is no such embedding, or it cannot be had here: none stands in for it.
    """
    if name == "auto":
        columns = images.split("train").columns.values()
        name = "classifier" if any(values.ndim == 1 for values in columns) else "pixels"
    if name not in EMBEDDINGS:
        near = nearest(name, EMBEDDINGS, " did you mean {}?")
        raise Error(
            f"There are no features {name};{near} --features takes auto, {', '.join(EMBEDDINGS)}."
        )
    return EMBEDDINGS[name](images)


def _classifier(images: Images) -> Embedding:
    """Learned from these very images: of few, or of hard ones, it knows little, and says so."""
    judge = classifier(images)
    return Embedding("classifier", judge.embed, judge.told(images))


def _pixels(images: Images) -> Embedding:
    """Pixels, averaged over areas to at most SIDE a side."""
    h, w = images.shape[1:]
    size = min(h, SIDE), min(w, SIDE)
    return _each("pixels", lambda x: F.adaptive_avg_pool2d(x, size).flatten(1))


def _inception(images: Images) -> Embedding:
    """The network of the Fréchet inception distance, Heusel et al. 2017, with its own resizing."""
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3("inception-v3-compat", ["2048"])
    except (ImportError, OSError) as problem:
        raise _missing("inception", "torch-fidelity", problem) from None
    return _each("inception", lambda x: network(to_bytes(_coloured(x))))


def _dinov2(images: Images) -> Embedding:
    """The class token of DINOv2-S/14 at 224x224; Oquab et al. 2023, arXiv 2304.07193."""
    try:
        from transformers import AutoModel  # pyright: ignore[reportMissingImports]

        network = AutoModel.from_pretrained(DINO).eval()
    except (ImportError, OSError) as problem:
        raise _missing("dinov2", "transformers", problem) from None
    centre, scale = (torch.tensor(values)[:, None, None] for values in IMAGENET)

    def embed(x: Tensor) -> Tensor:
        x = F.interpolate(_coloured(x), (224, 224), mode="bicubic", antialias=True).clamp(0, 1)
        return network(pixel_values=(x - centre) / scale).last_hidden_state[:, 0]

    return _each("dinov2", embed)


def _each(name: str, one: Callable[[Tensor], Tensor]) -> Embedding:
    @torch.no_grad()
    def embed(batches: Iterable[Tensor]) -> Float[Tensor, "n d"]:
        return torch.cat([one(part).float().cpu() for part in batches])

    return Embedding(name, embed)


def _coloured(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
    return displayable(images).expand(-1, 3, -1, -1)


def _missing(name: str, package: str, problem: Exception) -> Error:
    why = "is not installed" if isinstance(problem, ImportError) else "has no weights here"
    return Error(
        f"--features {name} needs {package}, which {why}; pip install 'latentia[features]' and go "
        "online once for the weights, or give --features classifier or pixels."
    )


EMBEDDINGS = {
    "classifier": _classifier,
    "pixels": _pixels,
    "inception": _inception,
    "dinov2": _dinov2,
}
