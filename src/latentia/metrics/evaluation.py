"""A run and the images it is measured on, with the features that several metrics share."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from latentia.core.contract import Model, get_autoencoder
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN, Mask, keep_missing
from latentia.data import Images, Split
from latentia.data.splits import SPLIT_NAMES, column_to_unit_range, evenly_spaced_rows
from latentia.latents.encoding import encode_split
from latentia.metrics.elbo import elbo
from latentia.metrics.features import FeatureExtractor, make_extractor
from latentia.metrics.label_probes import ProbePair, compare_probes
from latentia.metrics.pca import (
    ModelCoordinates,
    PixelPCA,
    encode_rows,
    fit_feature_pcas,
    fit_pixel_pca,
)
from latentia.models.pretrained_features import NAME, is_installed
from latentia.nets.column_condition import use_columns
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder

OWN_COORDINATES = "the run's coordinates"
MIN_PHOTOGRAPH_SIDE = 32  # pixels; smaller images in colour are drawings or icons
MAX_COMPARED_IMAGES = 10_000  # images and samples of a comparison, unless n is given


@dataclass
class Evaluation:
    """A run in evaluation mode, the images to measure on, and options of the metrics.

    features: name of a feature extractor, or auto; n: number of images and of samples (None: all
    images of the split, and at most 10,000 where sets are compared); k: importance samples of the
    likelihood's bound; other_models: those of other runs by name, for `squared_errors` and
    `label_probes`. Every value is a function of the seed.
    """

    run: RunFolder
    images: Images
    split: Split
    features: str = "auto"
    n: int | None = None
    k: int = 5000
    seed: int = 0
    other_models: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def model(self) -> Model:
        return self.run.model()

    @cached_property
    def autoencoder(self) -> Any:
        """The model itself, or a learned prior's autoencoder.

        Raises: Error if there is none.
        """
        return get_autoencoder(self.model) or self.run.autoencoder()

    @property
    def has_encoder(self) -> bool:
        return get_autoencoder(self.model) is not None

    @cached_property
    def elbo(self) -> dict[str, Any]:
        return elbo(self.autoencoder, self.split, seed=self.seed)

    @cached_property
    def pca(self) -> PixelPCA:
        """Principal components of the run's training images, as many as the latents."""
        return fit_pixel_pca(self.training_images, math.prod(self.autoencoder.latent_shape))

    @cached_property
    def training_images(self) -> Images:
        is_own = self.run.is_training_data(self.images)
        return self.images if is_own else self.run.images()

    @cached_property
    def others(self) -> Mapping[str, Any]:
        """Coordinates by title beside the pixels' PCA: of other runs, and PCAs of features."""
        models = {name: ModelCoordinates(model) for name, model in self.other_models.items()}
        if not self.sees_features:
            return models
        images, dims = self.training_images, math.prod(self.autoencoder.latent_shape)
        encoder = self.run.path / AUTOENCODER  # of a learned prior
        metadata = RunFolder.open(encoder).metadata if encoder.exists() else self.run.metadata
        # of a model that begins as joint PCA
        weight = metadata.get("closed_form", {}).get("feature_weight")
        return models | {pca.title: pca for pca in fit_feature_pcas(images, dims, weight)}

    @property
    def sees_features(self) -> bool:
        """Whether PCAs of pretrained features are measured: for photographs with labels too."""
        has_labels = any(values.ndim == 1 for values in self.split.columns.values())
        is_default = self.features == "auto" and self.has_photograph_features and has_labels
        is_default = is_default and self.mask is None  # the network would see padding
        return self.features == NAME or is_default

    @property
    def has_photograph_features(self) -> bool:
        """Whether the images may be photographs, and the pretrained network is installed."""
        channels, h, w = self.images.shape
        return channels == 3 and min(h, w) >= MIN_PHOTOGRAPH_SIDE and is_installed()

    @cached_property
    def squared_errors(self) -> dict[str, Float[Tensor, " n"]]:
        """Mean squared error per pixel of each compared image, by the title of coordinates."""
        own = {OWN_COORDINATES: ModelCoordinates(self.autoencoder), self.pca.title: self.pca}
        systems = {**own, **self.others}
        masks = self.iterate_masks()
        rows = [
            [each.measure_mse(x, *mask) for each in systems.values()]
            for x, mask in zip(self.iterate_images(), masks, strict=True)
        ]
        errors = (torch.cat(parts).double() for parts in zip(*rows, strict=True))
        return dict(zip(systems, errors, strict=True))

    @cached_property
    def label_probes(self) -> list[ProbePair]:
        """Linear probes of the split's labels, from posterior means and from baselines."""
        split = self.split
        batches = split.iterate_batches(split.max_batch_size())
        components = np.concatenate([self.pca.encode(batch.image).numpy() for batch in batches])
        columns = {name: values.numpy() for name, values in split.columns.items()}
        means = encode_split(self.autoencoder, split).mean
        encoders = {
            title: lambda rows, each=each: encode_rows(each, split, rows)
            for title, each in self.others.items()
        }
        return compare_probes(means, components, columns, split.classes, self.seed, encoders)

    @cached_property
    def extractor(self) -> FeatureExtractor:
        return make_extractor(self.features, self.images)

    @property
    def rows(self) -> Int64[Tensor, " n"]:
        """Rows of the split that are compared, evenly spaced."""
        return evenly_spaced_rows(len(self.split), self.n or MAX_COMPARED_IMAGES)

    def iterate_images(self) -> Iterator[Float[Tensor, "b c h w"]]:
        """Yield the compared images in batches, with their labels in use."""
        models = [self.autoencoder] if self.has_encoder else []
        for rows in self.rows.split(self.split.max_batch_size()):
            images, columns = self.split.get_batch(rows)
            with ExitStack() as stack:
                for model in (*models, *self.other_models.values()):
                    stack.enter_context(use_columns(model, columns))
                yield images

    @property
    def mask(self) -> Mask | None:
        """The observed pixels of the compared images; None if all are."""
        column = self.split.columns.get(MASK_COLUMN)
        return None if column is None else column_to_unit_range(column[self.rows])

    def iterate_masks(self) -> Iterator[tuple[Mask, ...]]:
        """Yield the mask of each batch of `iterate_images`, or nothing if all is observed."""
        mask, rows = self.mask, self.rows.split(self.split.max_batch_size())
        return iter([()] * len(rows) if mask is None else zip(mask.split(len(rows[0]))))

    @cached_property
    def real_features(self) -> Float[Tensor, "n d"]:
        return self.extractor.extract(self.iterate_images())

    @cached_property
    def samples(self) -> Float[Tensor, "n c h w"]:
        """As many samples as images that are compared; padding is that of the images."""
        samples = self.model.sample(len(self.rows), seed=self.seed)
        fill = torch.full_like(samples, self.images.preprocessing.background)
        return keep_missing(samples, fill, self.mask)

    @cached_property
    def sample_features(self) -> Float[Tensor, "n d"]:
        return self.extractor.extract(self.samples.split(self.split.max_batch_size()))

    @cached_property
    def other_images(self) -> Split | None:
        """As many images of another split, if possible a held-out one; None if there is none.

        They are what perfect samples would be. Features may be learned from training images.
        """
        others = [self.images.split(name) for name in SPLIT_NAMES if name != self.split.name]
        held_out = [s for s in others if s.name != "train" and len(s) >= len(self.rows)]
        largest = max(held_out or others, key=len)
        is_apart = self.split.name != "all" and len(largest) >= 2
        return largest.subsample(len(self.rows)) if is_apart else None

    @cached_property
    def other_features(self) -> Float[Tensor, "n d"] | None:
        """Features of the images of another split."""
        if (other := self.other_images) is None:
            return None
        return self.extractor.extract(
            batch.image for batch in other.iterate_batches(other.max_batch_size())
        )

    @cached_property
    def reconstruction_features(self) -> Float[Tensor, "n d"]:
        """Features of the same images, reconstructed from their posterior means."""
        batches = (self.autoencoder.reconstruct(batch) for batch in self.iterate_images())
        return self.extractor.extract(batches)

    @cached_property
    def training_features(self) -> Float[Tensor, "n d"]:
        """Features of the training images.

        Raises: Error if the split was not held out of them.
        """
        is_held_out = self.split.name in ("validation", "test")
        if not (is_held_out and self.run.is_training_data(self.images)):
            raise Error(
                "memorisation compares samples with images that were held out: leave --data out "
                "and give --split test or validation."
            )
        batches = self.images.split("train").iterate_batches(self.split.max_batch_size())
        return self.extractor.extract(batch.image for batch in batches)
