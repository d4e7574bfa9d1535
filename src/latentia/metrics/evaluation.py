"""A run and the images it is measured on, with what several metrics need, computed once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import HasLatents, HasTrajectory, Model
from latentia.core.errors import Error
from latentia.data import Images, Split
from latentia.data.splits import evenly_spaced_rows
from latentia.metrics.elbo import elbo
from latentia.metrics.features import FeatureExtractor, make_extractor
from latentia.runs.folder import RunFolder

MAX_COMPARED_IMAGES = 10_000  # images and samples that are compared, unless more are asked for


@dataclass
class Evaluation:
    """Everything is in evaluation mode, float32, and a function of the seed.

    features: a name that `embedding` knows; n: images and samples, None for all of the split, of
    sets that are compared MOST at most; k: draws of the likelihood's bound.
    """

    run: RunFolder
    images: Images
    split: Split
    features: str = "auto"
    n: int | None = None
    k: int = 5000
    seed: int = 0

    @cached_property
    def model(self) -> Model:
        return self.run.model()

    @cached_property
    def autoencoder(self) -> Any:
        """What encodes: the model, or a learned prior's autoencoder.

        Raises: Error if there is none.
        """
        return self.run.autoencoder()

    @property
    def has_encoder(self) -> bool:
        return isinstance(self.model, HasLatents | HasTrajectory)

    @cached_property
    def elbo(self) -> dict[str, Any]:
        return elbo(self.autoencoder, self.split, seed=self.seed)

    @cached_property
    def extractor(self) -> FeatureExtractor:
        return make_extractor(self.features, self.images)

    @cached_property
    def real_features(self) -> Float[Tensor, "n d"]:
        """Features of the split's images, evenly spaced in its order."""
        return self.extractor.extract(self.iterate_images())

    @cached_property
    def sample_features(self) -> Float[Tensor, "n d"]:
        """Features of as many samples."""
        n = len(evenly_spaced_rows(len(self.split), self.n or MAX_COMPARED_IMAGES))
        return self.extractor.extract(
            self.model.sample(n, seed=self.seed).split(self.split.max_batch_size())
        )

    @cached_property
    def reconstruction_features(self) -> Float[Tensor, "n d"]:
        """Features of the same images' reconstructions, decoded posterior means."""
        return self.extractor.extract(
            self.autoencoder.reconstruct(batch) for batch in self.iterate_images()
        )

    @cached_property
    def training_features(self) -> Float[Tensor, "n d"]:
        """Features of the training images.

        Raises: Error if the split is not one that was held out of them.
        """
        if self.split.name not in ("validation", "test") or not self.run.is_training_data(
            self.images
        ):
            raise Error(
                "memorisation compares samples with images that were held out: leave --data out "
                "and give --split test or validation."
            )
        batches = self.images.split("train").iterate_batches(self.split.max_batch_size())
        return self.extractor.extract(batch.image for batch in batches)

    def iterate_images(self) -> Iterator[Float[Tensor, "b c h w"]]:
        """The images that are compared, in batches."""
        for rows in evenly_spaced_rows(len(self.split), self.n or MAX_COMPARED_IMAGES).split(
            self.split.max_batch_size()
        ):
            yield self.split.get_batch(rows).image
