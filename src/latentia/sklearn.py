"""Scikit-learn transformer for any VAE recipe: `from latentia.sklearn import ImageVAE`."""

import hashlib
import math
from collections.abc import Iterator
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, no_type_check

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from latentia.api.training import finish_training, train_with_outputs
from latentia.core.contract import Batch, HasLatents, Model, StepContext
from latentia.core.errors import Error
from latentia.core.parameters import validate_parameters
from latentia.core.posterior import draw_latents
from latentia.core.seeding import noise
from latentia.core.text import pluralize
from latentia.data import Images, Source
from latentia.data.reader import LoadOptions
from latentia.data.reading import Reading
from latentia.data.sources.arrays import CHANNEL_COUNTS, ArrayReader
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder
from latentia.runs.recipes import to_python_numbers
from latentia.tracking import require_tracker
from latentia.training.plan import Options, Plan

RECIPE_PARAMETERS = ("latent", "beta", "lr", "batch", "epochs")
BATCH_ROWS = 500


class ImageVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Encode images as posterior means of a VAE; a scikit-learn transformer.

    Training uses all of X. There is no test split. One image in twelve is held out for
    validation, and the weights with the lowest loss on these images are kept (a VAE-GAN keeps
    its last or averaged weights). With
    `options={"validation": 0}` no image is held out, and the last weights are kept.

    Parameters
    ----------
    recipe : str
        recipe of a VAE or VAE-GAN, or "my.py:mine", at the images' own size
    latent, beta, lr, batch, epochs : optional
        parameters of the recipe; None keeps the recipe's default
    parameters : dict, optional
        other parameters of the recipe
    modifiers : dict, optional
        as in `latentia.train`
    options : dict, optional
        fields of `latentia.Options`
    image_shape : tuple of int, optional
        (h, w), (c, h, w) or (h, w, c) of a row of X; by default a square, or else one line
    scale : "minmax" or (float, float)
        the values that become 0 and 1: "minmax" takes those of the fitted X and clips later rows;
        with two numbers all rows must lie between them
    random_state : int or RandomState
        seed of the run
    run : str or Path, optional
        folder in which to keep the run; by default it is deleted after `fit`

    Attributes
    ----------
    model_ : the trained model
    metadata_ : content of run.json
    image_shape_, low_, high_ : shape of an image of X, and the values that became 0 and 1

    Examples
    --------
    >>> from latentia.sklearn import ImageVAE
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data[:100]
    >>> vae = ImageVAE("mnist_mlp_vae", latent=2, epochs=1).fit(X)
    >>> vae.transform(X).shape
    (100, 2)
    """

    model_: Any  # a Model that HasLatents

    @no_type_check  # scikit-learn's rule: store anything here, check it in `fit`
    def __init__(
        self,
        recipe: str = "conv_vae",
        *,
        latent: int | None = None,
        beta: float | None = None,
        lr: float | None = None,
        batch: int | None = None,
        epochs: int | None = None,
        parameters: dict[str, Any] | None = None,
        modifiers: dict[str, dict[str, Any]] | None = None,
        options: dict[str, Any] | None = None,
        image_shape: tuple[int, ...] | None = None,
        scale: Any = "minmax",
        random_state: Any = 0,
        run: str | Path | None = None,
    ):
        self.recipe = recipe
        self.latent = latent
        self.beta = beta
        self.lr = lr
        self.batch = batch
        self.epochs = epochs
        self.parameters = parameters
        self.modifiers = modifiers
        self.options = options
        self.image_shape = image_shape
        self.scale = scale
        self.random_state = random_state
        self.run = run

    def fit(self, X: Any, y: Any = None) -> "ImageVAE":
        """Train the recipe on X, rows (n, pixels) or images; y is ignored.

        Images are (n, h, w), (n, c, h, w) or (n, h, w, c) with c = 1, 3 or 4.

        Raises: Error if X, a parameter or the recipe is not usable, or training did not finish.
        """
        images = self._to_images(X, is_fitting=True)
        values = {**(self.options or {}), "seed": resolve_seed(self.random_state)}
        validate_parameters("ImageVAE.options", Options, values := to_python_numbers(values))
        options = Options(**values)
        require_tracker(options.tracker)
        source = UnsplitSource(images, Reading(seed=options.seed, validation=options.validation))
        parameters = {name: getattr(self, name) for name in RECIPE_PARAMETERS}
        parameters = {name: value for name, value in parameters.items() if value is not None}
        parameters |= self.parameters or {}
        parameters["data"] = Images(source, LoadOptions(None, None, source.reading))
        with TemporaryDirectory() as folder:
            path = self.run or Path(folder) / "run"
            run, plan = create_run(
                *(self.recipe, parameters, self.modifiers or {}, options, path), self._check_plan
            )
            try:
                finish_training(run, train_with_outputs(run, plan), progress=False)
            except KeyboardInterrupt:
                if self.run is None:  # nothing is left to go on with
                    raise KeyboardInterrupt from None
                raise
            self.model_ = run.model()
            self.metadata_ = run.metadata
        self._n_features_out = math.prod(self.model_.latent_shape)
        return self

    def _check_plan(self, plan: Plan) -> None:
        if not isinstance(plan.model, HasLatents):
            raise Error(f"The recipe {self.recipe} has no encoder; give that of a VAE.")

    def transform(self, X: Any) -> np.ndarray:
        """Return posterior means (n, latents)."""
        check_is_fitted(self)
        means = [self.model_.encode(x).mean.flatten(1) for x in self._iterate_batches(X)]
        return torch.cat(means).cpu().numpy()

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Decode latents (n, latents) to images with the shape and scale of the fitted X."""
        check_is_fitted(self)
        z = torch.from_numpy(check_array(X, dtype="float32", copy=True))
        if z.shape[1] != self._n_features_out:
            raise Error(
                f"X has {pluralize(z.shape[1], 'column')}; give the {self._n_features_out} latents "
                "that transform returns."
            )
        chunks = z.reshape(-1, *self.model_.latent_shape).split(BATCH_ROWS)
        return self._restore_shape(torch.cat([self.model_.decode(chunk) for chunk in chunks]))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the ELBO of each image scaled to [0, 1] (n,), in nats, from one posterior draw."""
        check_is_fitted(self)
        elbos = [estimate_elbo(self.model_, x) for x in self._iterate_batches(X)]
        return torch.cat(elbos).cpu().numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean ELBO in nats per image; higher is better, and betas are comparable."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def sample(self, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Sample new images; each is the same for every n, up to rounding."""
        check_is_fitted(self)
        return self._restore_shape(self.model_.sample(n_samples, seed=resolve_seed(random_state)))

    def _to_images(self, X: Any, is_fitting: bool = False) -> np.ndarray:
        """Convert rows or images to (n, c, h, w) in [0, 1], float32."""
        shape = tuple(X.shape[1:]) if getattr(X, "ndim", 2) > 2 else None
        X = X.reshape(len(X), -1) if shape else X
        X = validate_data(self, X, reset=is_fitting)
        if is_fitting:
            self.image_shape_ = self._infer_image_shape(X.shape[1], shape)
            self.rows_ = shape is None
            self.low_, self.high_ = self._find_limits(X)
        elif shape not in (None, self.image_shape_):
            raise Error(f"X holds images {shape}; {self.image_shape_} were fitted: give the same.")
        if self.scale != "minmax" and (X.min() < self.low_ or X.max() > self.high_):
            raise Error(
                f"X lies in [{X.min():g}, {X.max():g}]; it must lie in scale={self.scale}: rescale "
                'it, or give scale="minmax".'
            )
        scaled = (X.astype(np.float64) - self.low_) / ((self.high_ - self.low_) or 1.0)
        images = scaled.clip(0, 1).astype(np.float32).reshape(-1, *self.image_shape_)
        if len(self.image_shape_) == 2:
            return images[:, None]
        return np.moveaxis(images, -1, 1) if has_channels_last(self.image_shape_) else images

    def _find_limits(self, X: np.ndarray) -> tuple[float, float]:
        match self.scale:
            case str("minmax"):
                return float(X.min()), float(X.max())
            case (Real() as low, Real() as high) if -math.inf < float(low) < float(high) < math.inf:
                return float(low), float(high)
        raise Error(
            f"scale is {self.scale!r}; it must be 'minmax' or two finite values, the lower first, "
            "that mean 0 and 1, such as (0, 255)."
        )

    def _infer_image_shape(
        self, pixels: int, array_shape: tuple[int, ...] | None
    ) -> tuple[int, ...]:
        side = math.isqrt(pixels)
        shape = (
            self.image_shape or array_shape or ((side, side) if side**2 == pixels else (1, pixels))
        )
        if len(shape) not in (2, 3) or min(shape) < 1 or math.prod(shape) != pixels:
            raise Error(
                f"image_shape is {shape}, and each image has {pluralize(pixels, 'value')}; give "
                "(h, w), (c, h, w) or (h, w, c) of as many, or None."
            )
        return tuple(shape)

    def _iterate_batches(self, X: Any) -> Iterator[Tensor]:
        images = np.ascontiguousarray(self._to_images(X))
        device = next(self.model_.parameters()).device
        yield from (batch.to(device) for batch in torch.from_numpy(images).split(BATCH_ROWS))

    def _restore_shape(self, images: Tensor) -> np.ndarray:
        arrays = images.cpu().numpy() * np.float32(self.high_ - self.low_) + np.float32(self.low_)
        arrays = np.moveaxis(arrays, 1, -1) if has_channels_last(self.image_shape_) else arrays
        return arrays.reshape(len(arrays), *([-1] if self.rows_ else self.image_shape_))

    def __getstate__(self) -> dict[str, Any]:
        """Replace the model by its weights: its schedules are closures, which cannot be stored."""
        state: dict[str, Any] = super().__getstate__()  # pyright: ignore
        if "model_" in state:
            weights = {k: v.cpu().numpy() for k, v in self.model_.state_dict().items()}
            state = {**state, "model_": weights}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            weights = {k: torch.from_numpy(v.copy()) for k, v in state["model_"].items()}
            folder = Path(self.run or "run").expanduser()
            self.model_ = RunFolder(folder, self.metadata_).model(weights)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class UnsplitSource(Source):
    """An array without a test split: who fits an estimator has held out test data already."""

    def make_reader(self) -> ArrayReader:
        return ArrayReader("X", {"train": self.data, "test": self.data[:0]})


@torch.no_grad()
def estimate_elbo(model: Model, images: Tensor) -> Tensor:
    """ELBO (b,) in nats, from one draw per image.

    The image itself seeds its draw, so neither order nor neighbours matter.
    """
    assert isinstance(model, HasLatents)
    digests = [hashlib.blake2b(x.cpu().numpy().tobytes(), digest_size=7) for x in images]
    seeds = [int.from_bytes(digest.digest(), "little") for digest in digests]
    contexts = [StepContext(seed, 1, 0, 1, 0, 1) for seed in seeds]
    pairs = list(zip(images.split(1), contexts, strict=True))
    observed = torch.cat([model.observe(Batch(image, {}), context) for image, context in pairs])
    eps = [noise(context, "score", model.latent_shape, image) for image, context in pairs]
    z, posterior = draw_latents(model.encode(observed), torch.cat(eps))
    return -model.distortion(z, observed) - posterior.kl()


def has_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether an image shape is (h, w, c), by the rule of `data.sources.arrays.to_nchw`."""
    return len(shape) == 3 and shape[2] in CHANNEL_COUNTS and shape[0] not in CHANNEL_COUNTS


def resolve_seed(random_state: Any) -> int:
    """Return an integer unchanged, as elsewhere in latentia, or draw one from a RandomState."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
