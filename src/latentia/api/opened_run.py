"""A run that is open for reading: its settings, log, images and model."""

import base64
import html
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Literal

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import get_autoencoder, get_decoder
from latentia.core.errors import Error
from latentia.core.text import join_command
from latentia.data import Images, Split
from latentia.data.labels import Labels
from latentia.latents.parsing import is_latent_row, read_latent_row
from latentia.metrics.measure import load_metrics
from latentia.nets.column_condition import use_columns
from latentia.report.training_images import list_training_images
from latentia.runs.folder import RunFolder
from latentia.runs.image_names import NamedImages, join_images, read_images
from latentia.runs.images import describe_images
from latentia.runs.sampling import parse_condition
from latentia.training.log import read_rows
from latentia.training.plan import Options

HEADLINES = ("nelbo_nats", "distortion_nats", "rate_nats", "fd_samples", "fd_real")


class OpenedRun:
    """The files of a run, read when they are needed; the base class of `Run`."""

    def __init__(self, folder: RunFolder, data: Any = None):
        self.folder, self._data = folder, data
        self.path, self.name, self.metadata = folder.path, folder.name, folder.metadata
        self._opened: Images | None = None

    @property
    def options(self) -> Options:
        """Options of the training."""
        return self.folder.options

    @cached_property
    def model(self) -> Any:
        """The trained `Model` (a torch module) in evaluation mode."""
        return self.folder.model()

    @cached_property
    def autoencoder(self) -> Any:
        """The model that encodes images: the model itself, or the autoencoder of a learned prior.

        Raises: Error if the model has no encoder.
        """
        return get_autoencoder(self.model) or self.folder.autoencoder()

    @property
    def decoder(self) -> Any:
        """The model that decodes latents: the autoencoder, or a GAN.

        Raises: Error if there is none.
        """
        return get_decoder(self.model) or self.autoencoder

    @property
    def images(self) -> Images:
        """The images of the run, or those of `with_data`.

        Raises: Error if they are missing, or have changed since the training.
        """
        if self._opened is None:
            self._opened = self.folder.images(self._data)
        return self._opened

    @property
    def log(self) -> pd.DataFrame:
        """Rows of log.jsonl: training steps, validations and findings."""
        frame = pd.json_normalize(read_rows(self.path / "log.jsonl"))
        return frame.rename(columns=lambda name: name.removeprefix("players."))

    @property
    def is_complete(self) -> bool:
        """Whether the training has ended."""
        return self.folder.is_complete

    def with_data(self, data: Any) -> Any:
        """Return this run on other images, with the preprocessing of its training.

        Parameters
        ----------
        data : str, Path, array or tensor
            folder, file or data set as in `train`, or images (n, c, h, w). Give the run's own
            images if they were an array in memory, or have moved

        Returns
        -------
        Run
            the same run, whose methods read these images

        Examples
        --------
        >>> import latentia
        >>> run = latentia.load("runs/digits").with_data("digits:50")
        >>> len(run.encode())
        50
        """
        return type(self)(self.folder, data)

    def with_beta(self, beta: float | None) -> Any:
        """Return this run at another beta, if it was trained with the modifier `multirate`.

        Parameters
        ----------
        beta : float or None
            weight of the rate (KL), within the range of the training; None keeps the present one

        Returns
        -------
        Run
            the same run at this beta

        Raises
        ------
        Error
            if the run has not learned this beta

        Examples
        --------
        >>> import latentia
        >>> run = latentia.load("runs/digits")
        >>> run.with_beta(None).name
        'digits'
        >>> run.with_beta(2.0)
        Traceback (most recent call last):
        latentia.core.errors.Error: --beta is 2, but runs/digits has learned one beta ...
        """
        return type(self)(self.folder.with_beta(beta), self._data)

    def split(
        self,
        name: str | None = None,
        *,
        labels: Any = None,
        label_cols: Sequence[str] | None = None,
        missing: Literal["error", "drop", "nan"] = "error",
    ) -> Split:
        """Return the images of a split, with their keys and labels.

        Parameters
        ----------
        name : {"train", "validation", "test", "all"}, optional
            name of the split; the default is test, and all if `with_data` gave other images
        labels : str, Path, array, Series or DataFrame, optional
            table of labels (.csv or .parquet), joined to the images by file name, or labels of all
            images in their order
        label_cols : sequence of str, optional
            label columns to use; by default all of `labels`, or of the data
        missing : {"error", "drop", "nan"}
            what happens to images that the table lacks

        Returns
        -------
        Split
            images in the order of `keys`; `columns` holds the labels by name

        Raises
        ------
        Error
            if the split is empty, or the labels do not fit the images

        Examples
        --------
        >>> import latentia
        >>> test = latentia.load("runs/digits").split("test")
        >>> test
        Split(test: 20 images 1x28x28; label)
        """
        return self._find_split(name, Labels(labels, label_cols, missing))

    def _find_split(self, name: str | None, labels: Labels, default: str = "test") -> Split:
        return self.folder.split(name, self.images, default=default, labels=labels)

    def preprocess(self, images: Any) -> Float[Tensor, "n c h w"]:
        """Read new images as the training images were read.

        Parameters
        ----------
        images : str, Path, Pillow image, array, tensor, or a list of these
            files, or images (n, h, w), (n, c, h, w) or (n, h, w, c); one (h, w) or (h, w, 3)

        Returns
        -------
        Tensor
            images (n, c, h, w) in [0, 1], at the size of the training

        Raises
        ------
        Error
            if an image cannot be read

        Examples
        --------
        >>> import latentia, numpy
        >>> latentia.load("runs/digits").preprocess(numpy.zeros((2, 8, 8), "uint8")).shape
        torch.Size([2, 1, 28, 28])
        """
        return self.folder.stored_images.preprocess(images)

    def _read_images(self, images: Any, split: str | None) -> NamedImages:
        data = self._data if self._opened is None else self._opened
        return read_images(self.folder, images, split, data)

    def _use_labels(
        self, columns: dict[str, Tensor], cond: Any = None, n: int = 1
    ) -> AbstractContextManager[None]:
        """Encode with the labels of images in the block, and decode with those of `cond`."""
        target = parse_condition(self.folder, self.decoder, cond, n)
        return use_columns(self.decoder, columns, target)

    def _read_points(
        self, images: Any, split: str | None, cond: Any = None
    ) -> tuple[NamedImages, Tensor | None]:
        """Read images, and latents if some are rows of a table, FILE:ROW or FILE:KEY."""
        words = [images] if isinstance(images, str) else images
        if not isinstance(words, list | tuple) or not any(map(is_latent_row, words)):
            return self._read_images(images, split), None
        parts, means = [], []
        for word in words:
            if is_latent_row(word):
                means.append(read_latent_row(word, self.decoder))
                with self._use_labels({}, cond):
                    image = self.decoder.decode(means[-1]).cpu()
                parts.append(NamedImages([word], [None], image, {}))
            else:
                parts.append(self._read_images([word], split))
                with self._use_labels(parts[-1].columns, cond):
                    means.append(self.autoencoder.encode(parts[-1].pixels).mean)
        return join_images(parts), torch.cat(means)

    def _choose_model(self, mean: Tensor | None) -> Any:
        """Return the model that decodes the latents of a table, or encodes where there are none."""
        if mean is not None:
            return self.decoder
        if get_decoder(self.model) is not None and get_autoencoder(self.model) is None:
            command = join_command(["latentia", "sample", self.path, "--latents-out", "z.csv"])
            text = f"give latents, such as z.csv:0, which `{command}` writes, or a run of a VAE."
            raise Error(f"has no encoder: it only draws images; {text}", subject=self.path)
        return self.autoencoder

    def __repr__(self) -> str:
        state = "" if self.is_complete else ", not complete"
        images = describe_images(self.metadata["images"])
        return f"Run({str(self.path)!r}: {self.metadata['recipe']}{state}; {images})"

    def _repr_html_(self) -> str:
        results = load_metrics(self.folder)
        rows = {
            "run": self.path,
            "recipe": self.metadata["recipe"] + ("" if self.is_complete else " (not complete)"),
            "data": describe_images(self.metadata["images"]),
            **{each.name: each.text for each in results if each.name in HEADLINES},
        }
        cells = [
            f"<tr><th>{key}</th><td>{html.escape(str(v))}</td></tr>" for key, v in rows.items()
        ]
        pictures = list_training_images(self.folder, "samples")
        picture = base64.b64encode(pictures[-1][1].read_bytes()).decode() if pictures else ""
        tag = f'<img alt="samples" src="data:image/png;base64,{picture}">' if picture else ""
        return f"<table>{''.join(cells)}</table>{tag}"
