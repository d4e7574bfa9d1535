"""Feature extractors by name, in whose features sets of images are compared."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.tensors import to_bytes, to_display_channels
from latentia.core.text import suggest_name
from latentia.data import Images
from latentia.metrics.label_classifier import get_label_classifier
from latentia.models import pretrained_features

MAX_SIDE = 16  # pixels a side of the features `pixels`: a covariance of more has too many entries
DINO_MODEL = "facebook/dinov2-small"
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FeatureExtractor(NamedTuple):
    """A function from batches of images (b, c, h, w) in [0, 1] to float32 features (n, d).

    note: accuracy of the features on held-out images, where it is known.
    """

    name: str
    extract: Callable[[Iterable[Tensor]], Float[Tensor, "n d"]]
    note: str = ""


def make_extractor(name: str, images: Images) -> FeatureExtractor:
    """Return the extractor of this name; auto: `classifier` if images have labels, else `pixels`.

    Raises: Error if the name is unknown, or its package or weights are missing (no other
    extractor replaces it).
    """
    check_features(name)
    if name == "auto":
        columns = images.split("train").columns.values()
        name = "classifier" if any(values.ndim == 1 for values in columns) else "pixels"
    return FEATURE_EXTRACTORS[name](images)


def check_features(name: str) -> None:
    """Raises: Error if there are no features of this name."""
    if name not in ("auto", *FEATURE_EXTRACTORS):
        suggestion = suggest_name(name, FEATURE_EXTRACTORS, " did you mean {}?")
        raise Error(
            f"There are no features {name};{suggestion} --features takes auto, "
            f"{', '.join(FEATURE_EXTRACTORS)}."
        )


def _make_classifier_extractor(images: Images) -> FeatureExtractor:
    """Features of a classifier trained on these images; its note gives its accuracy."""
    classifier = get_label_classifier(images)
    accuracy = classifier.describe_accuracy(images)
    return FeatureExtractor("classifier", classifier.extract_features, accuracy)


def _make_pixel_extractor(images: Images) -> FeatureExtractor:
    """Pixels, averaged over areas to at most 16 a side."""
    _, h, w = images.shape
    size = min(h, MAX_SIDE), min(w, MAX_SIDE)
    return _make_batch_extractor("pixels", lambda x: F.adaptive_avg_pool2d(x, size).flatten(1))


def _make_efficientnet_extractor(images: Images) -> FeatureExtractor:
    """Pooled features of EfficientNet-Lite0 at 112x112 pixels; Tan & Le 2019, arXiv 1905.11946."""
    pretrained_features.load_network()  # before any work, where its weights are missing
    return _make_batch_extractor("efficientnet", pretrained_features.extract_features)


def _make_inception_extractor(images: Images) -> FeatureExtractor:
    """Inception v3 of the Fréchet inception distance, Heusel et al. 2017, with its resizing."""
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3("inception-v3-compat", ["2048"])
    except (ImportError, OSError) as error:
        raise _make_missing_error("inception", "torch-fidelity", error) from None
    return _make_batch_extractor("inception", lambda x: network(to_bytes(_to_rgb(x))))


def _make_dinov2_extractor(images: Images) -> FeatureExtractor:
    """Class token of DINOv2-S/14 at 224x224 pixels; Oquab et al. 2023, arXiv 2304.07193."""
    try:
        from transformers import AutoModel  # pyright: ignore[reportMissingImports]

        network = AutoModel.from_pretrained(DINO_MODEL).eval()
    except (ImportError, OSError) as error:
        raise _make_missing_error("dinov2", "transformers", error) from None
    mean, sd = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_SD))

    def extract_batch(x: Tensor) -> Tensor:
        x = F.interpolate(_to_rgb(x), (224, 224), mode="bicubic", antialias=True).clamp(0, 1)
        return network(pixel_values=(x - mean) / sd).last_hidden_state[:, 0]

    return _make_batch_extractor("dinov2", extract_batch)


def _make_batch_extractor(name: str, extract_batch: Callable[[Tensor], Tensor]) -> FeatureExtractor:
    @torch.no_grad()
    def extract(batches: Iterable[Tensor]) -> Float[Tensor, "n d"]:
        return torch.cat([extract_batch(batch).float().cpu() for batch in batches])

    return FeatureExtractor(name, extract)


def _to_rgb(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 h w"]:
    return to_display_channels(images).expand(-1, 3, -1, -1)


def _make_missing_error(name: str, package: str, error: Exception) -> Error:
    reason = "is not installed" if isinstance(error, ImportError) else "has no weights here"
    return Error(
        f"--features {name} needs {package}, which {reason}; pip install 'latentia[features]' and "
        "go online once for the weights, or give --features classifier or pixels."
    )


FEATURE_EXTRACTORS = {
    "classifier": _make_classifier_extractor,
    "pixels": _make_pixel_extractor,
    "efficientnet": _make_efficientnet_extractor,
    "inception": _make_inception_extractor,
    "dinov2": _make_dinov2_extractor,
}
