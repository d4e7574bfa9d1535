"""A table of a set of images, one row each: its posterior, rate, distortion and labels."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.core.progress import watched
from latentia.core.tensors import displayable, to_bytes
from latentia.data import Split
from latentia.latents.encoding import AT_ONCE, flat
from latentia.latents.writers import SINKS, Chunk, Held
from latentia.training.checkpoint import unfinished
from latentia.training.launch import by_first

SIDE = 96  # pixels, at most, of a thumbnail
TAKEN = ("key", "split", "rate", "distortion", "mu", "sd", "image", "x", "y")


def write_table(
    path: Path | str,
    model: HasLatents,
    part: Split,
    membership: Sequence[str] | None = None,
    *,
    thumbnails: bool = False,
    size: int | None = None,
) -> Path:
    """.parquet, .csv or .npz with one row an image, in the split's order, without randomness.

    Columns: key, split, mu_* and sd_* of the posterior, rate (KL to N(0, I)), distortion
    (-log p(image | posterior mean), so below `evaluate`'s, which draws z), both in nats, float32;
    and the labels: text where classes have names, and their numbers as NAME_code; of an image
    without a label, no text and -1, or NaN for a number. Of a latent map
    the columns are mu_channel_row_column. In .npz mu and sd are arrays (n, *latent).
    membership: the split that each image belongs to; default: this one.
    thumbnails: parquet also carries image (PNG), mu (a vector), x and y (the first two principal
    components of mu). Memory: a few thousand rows; the whole table, without pixels, for .npz and
    thumbnails. Several processes encode batches in turn; the first one writes.

    Raises: Error if the ending is another or the path can't be written.
    """
    path = Path(path)
    if path.suffix not in SINKS:
        raise Error(
            f"--out {path} ends in {path.suffix or 'nothing'}; give .parquet, .csv or .npz."
        )
    if thumbnails and path.suffix != ".parquet":
        raise Error(f"--thumbnails does not fit into {path.suffix}; give --out a .parquet file.")
    n = len(part)
    with writable(path), ExitStack() as stack:

        def begin() -> Any:
            with writable(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                begun = stack.enter_context(unfinished(path))
                begun.touch()  # what cannot be written is said before anything is encoded
                return stack.enter_context(SINKS[path.suffix](begun, model.latent_shape, n))

        sink, held = by_first(begin), Held(n)
        into = (held if thumbnails else sink).write if sink else lambda chunk: None
        _all(rows(model, part, membership or [part.name] * n, size), into, n, "encoding")
        if thumbnails and sink:
            _all(pictured(held, part), sink.write, n, "thumbnails")
    return path


@contextmanager
def writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise Error(f"{path} cannot be written ({problem.strerror}); give another --out.") from None


def _all(chunks: Iterator[Chunk], into: Callable[[Chunk], None], n: int, what: str) -> None:
    def counted() -> Iterator[int]:
        for chunk in chunks:
            into(chunk)
            yield len(chunk["key"])

    for _ in watched(counted(), n, what):
        pass


@torch.no_grad()
def rows(
    model: HasLatents, part: Split, membership: Sequence[str], size: int | None = None
) -> Iterator[Chunk]:
    """The table a batch at a time."""
    many = size or part.at_once(AT_ONCE)

    def chunk(number: int) -> Chunk:
        at = slice(number * many, (number + 1) * many)
        batch = part.batch(at)
        posterior = model.encode(batch.image)
        return {
            "key": part.keys[at],
            "split": list(membership[at]),
            "mu": flat(posterior.mean),
            "sd": flat(posterior.sd),
            "rate": posterior.kl().float().cpu().numpy(),
            "distortion": model.distortion(posterior.mean, batch.image).float().cpu().numpy(),
            **labels(batch.columns, part.classes),
        }

    yield from distributed.in_turn(math.ceil(len(part) / many), chunk)


def labels(columns: dict[str, Tensor], classes: dict[str, list[str] | None]) -> Chunk:
    """Named classes as text and as numbers; a name that the table needs itself gets `_label`."""
    found: Chunk = {}
    for name, values in columns.items():
        if values.ndim > 1:  # images beside the image
            continue
        free = f"{name}_label" if name in TAKEN or name.startswith(("mu_", "sd_")) else name
        known, numbers = classes.get(name), values.cpu().numpy()
        if known:
            found[free] = [known[k] if 0 <= k < len(known) else "" for k in numbers.tolist()]
            found[f"{free}_code"] = numbers
        else:
            found[free] = numbers
    return found


def pictured(held: Held, part: Split) -> Iterator[Chunk]:
    """The rows with their images and their place on the map."""
    from sklearn.decomposition import PCA

    means = held.columns["mu"]
    at = np.zeros((len(means), 2), np.float32)
    two = min(2, *means.shape)
    at[:, :two] = PCA(two, svd_solver="covariance_eigh").fit_transform(means.astype(np.float64))
    for here, chunk in held.rows(part.at_once(AT_ONCE)):
        images = to_bytes(displayable(part.batch(here).image)).permute(0, 2, 3, 1).numpy()
        yield {
            **chunk,
            "x": at[here, 0],
            "y": at[here, 1],
            "image": [thumbnail(image) for image in images],
        }


def thumbnail(image: np.ndarray) -> bytes:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()
