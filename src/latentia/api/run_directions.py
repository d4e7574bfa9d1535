"""Directions of labels in the latent space of a run."""

import math
from functools import cached_property
from typing import Any

import numpy as np

from latentia.api.opened_run import OpenedRun
from latentia.core.contract import HasEncoder
from latentia.core.errors import Error
from latentia.core.progress import print_note
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.latents.directions import Direction, find_direction, measure_brightness
from latentia.latents.encoding import SAMPLE, LatentTable, encode_split
from latentia.latents.principal_axes import Axes, check_axes


class RunDirections(OpenedRun):
    """Where labels rise in the latent space, measured on at most 5,000 training images."""

    def find_direction(self, toward: str, *, labels: Any = None) -> Direction:
        """Find the direction in latent space along which a linear probe of a label rises.

        Parameters
        ----------
        toward : str
            label column of numbers or of two classes, or "COLUMN=VALUE", one class against the
            others
        labels : str, Path, array, Series or DataFrame, optional
            table of labels (.csv or .parquet), joined to the images by file name, or labels of all
            images in their order; the default is the labels of the data

        Returns
        -------
        Direction
            `axis` (d,), `probe`, the score out of fold with its interval and chance, `moving`, a
            table of what else is correlated with the coordinate, and `text`, both in words

        Raises
        ------
        Error
            if there is no such column or class, or too few images have it

        Examples
        --------
        >>> import latentia
        >>> direction = latentia.load("runs/digits").find_direction("label=3")
        >>> direction.probe.measure, direction.moving.columns[0]
        ('accuracy', 'column')
        """
        columns = SOURCE_LABELS if labels is None else Labels(labels, missing="nan")
        split = self._find_split(None, columns, default="train").subsample(SAMPLE)
        print_note(split.note)
        values = measure_brightness(split)
        values |= {name: column.cpu().numpy() for name, column in split.columns.items()}
        return find_direction(self._training_table, values, split.classes, toward)

    def _choose_direction(
        self, toward: str | Direction | None, dims: Any, axes: Axes
    ) -> Direction | None:
        check_axes(axes)
        if toward is not None and (dims is not None or axes != "own"):
            other = "--dims" if dims is not None else "--axes"
            raise Error(f"--toward and {other} are both given; leave one of them out.")
        return self.find_direction(toward) if isinstance(toward, str) else toward

    @cached_property
    def _training_table(self) -> LatentTable:
        """The latents of training images, which give dimensions their order and their range."""
        split = self._find_split(None, SOURCE_LABELS, default="train")
        return encode_split(self.autoencoder, split, SAMPLE)

    @cached_property
    def _latent_range(self) -> LatentTable:
        """The training table; of a GAN, which encodes no image, the prior N(0, I)."""
        if isinstance(self.decoder, HasEncoder):
            return self._training_table
        n_dims = math.prod(self.decoder.latent_shape)
        return LatentTable(np.zeros((1, n_dims), "f4"), np.ones((1, n_dims), "f4"), None)
