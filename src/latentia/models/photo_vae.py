"""VAE of photographs, whose latents carry their pixels and what a pretrained network sees."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Player, Role, StepContext, Term, Terms
from latentia.core.missing import MASK_COLUMN, get_mask, keep_missing, use_mask
from latentia.core.posterior import Posterior
from latentia.core.progress import print_note, show_progress
from latentia.core.seeding import noise, uniform
from latentia.core.tensors import ImageTensor, PerImage
from latentia.losses.likelihoods import Likelihood
from latentia.models.augmentation import shift_images
from latentia.models.image_sample import ImageSample, mark_missing
from latentia.models.joint_pca import choose_weight, fit_feature_axes, fit_joint_pca
from latentia.models.pretrained_features import BATCH, extract_features, is_stored, load_network
from latentia.models.sharpening import Pair, Sharpener, select_pair
from latentia.models.vae import VAE
from latentia.nets.column_condition import ColumnCondition, use_columns
from latentia.nets.efficientnet import FEATURE_DIMS, EfficientNetLite0
from latentia.nets.label_effect import LabelEffect
from latentia.nets.principal import PrincipalDecoder, PrincipalEncoder

MAX_VALUES = 2**26  # pixel values that the closed form is fitted to: 256 MB
# Standard deviation of what training adds to the latents that the decoder's network sees. Precise
# latents tell it which training image it sees, unless images are also shifted: of 6,000 images of
# CIFAR-10 the validation loss is then lowest at the end of the training.
NOISE, NOISE_WITH_SHIFTS = 1.0, 0.2
FEATURE_AXES = 64  # principal components of the features that the latents may carry
COLUMNS = "features", "flipped_features"  # of each image, and of its mirror image
NOTE = "A pretrained network looks at each image once; its features are kept for the next run."


class ForwardPass(NamedTuple):
    """A step's images as training sees them, and the decoder's output.

    missing: mask of pixels. pair: for the sharpener, if there is one.
    """

    images: ImageTensor
    missing: Tensor | None
    features: Tensor
    posterior: Posterior
    z: Tensor
    output: Tensor
    pair: Pair | None


class PhotoVAE(VAE):
    """Variational autoencoder that begins as probabilistic PCA of pixels and features.

    The closed form has coordinates after seconds. Training completes the linear maps of encoder and
    decoder by residual networks, and minimises the negative ELBO of pixels and features together.
    That of the validation images chooses between all epochs and the closed form.

    Parameters
    ----------
    encoder : PrincipalEncoder
        posterior of the latents
    decoder : PrincipalDecoder
        latents to logits of pixels
    likelihood : Likelihood
        p(image | latents), whose mean is the sigmoid of the decoder's output
    weight : float, optional
        weight of the features; 0 reads the pixels alone, without a pretrained network; by default
        as large as a squared error of 1.15 times that of pixel PCA allows
    flips, shifts : bool
        whether training also shows the images mirrored, and shifted by at most 3 pixels
    external : bool
        whether the pretrained network is left out of the weights, and read from its package
    """

    starts_fitted, selection_metric, unselected = True, "joint", ("sharpener.",)
    encoder: PrincipalEncoder
    decoder: PrincipalDecoder
    feature_mean: Tensor
    projection: Tensor

    def __init__(
        self,
        encoder: PrincipalEncoder,
        decoder: PrincipalDecoder,
        likelihood: Likelihood,
        weight: float | None = None,
        flips: bool = False,
        shifts: bool = False,
        external: bool = False,
    ):
        super().__init__(encoder, decoder, likelihood)
        self.weight, self.flips, self.shifts = weight, flips, shifts
        decoder.noise = NOISE_WITH_SHIFTS if shifts else NOISE
        self.reads_features = weight != 0
        self.sharpener: Sharpener | None = None  # of samples
        self.feature_effect: LabelEffect | None = None
        self.leaves_out_missing = not self.reads_features  # the network would see padding
        self.network = EfficientNetLite0() if self.reads_features and not external else None
        n_features = FEATURE_DIMS if self.reads_features else 0
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("projection", torch.zeros(n_features, len(encoder.feature_axes)))

    def add_sharpener(self) -> None:
        """Let training also teach a network the details that decoded images lack."""
        self.sharpener = Sharpener(self.image_shape)
        self.leaves_out_missing = False  # the critic would see padding

    def add_condition(self, condition: ColumnCondition) -> None:
        """Condition both networks; the closed form subtracts what the labels add."""
        super().add_condition(condition)
        self.decoder.label_effect = LabelEffect(condition, math.prod(self.image_shape))
        self.feature_effect = LabelEffect(condition, len(self.feature_mean))

    def setup(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Compute the features of the training images, and fit the closed form."""
        if self.network:
            self.network.load_state_dict(load_network().state_dict())
        views = [_identity, _mirror] if self.flips else [_identity]
        features: list[list[Tensor]] = [[] for _ in views]
        labels: list[Tensor] = []
        sample = ImageSample(MAX_VALUES // len(views))
        for batch in batches:
            marked = mark_missing(batch)
            if effect := self.decoder.label_effect:
                labels.append(effect.condition.encode(batch.columns[effect.condition.column]))
                effect.add(labels[-1], marked.flatten(1))
            if self.reads_features:
                if not sample.count and not is_stored(batch.image[:1], self.network):
                    print_note(NOTE)
                for view, parts in zip(views, features, strict=True):
                    parts += self._extract_features(view(batch.image))
            sample.add(marked)
        images = sample.images
        if effect := self.decoder.label_effect:
            effect.fit()
            rows = effect.subtract(torch.cat(labels)[:: sample.stride], images.flatten(1))
            images = rows.view_as(images)
        pixels = torch.cat([view(images).flatten(1) for view in views])
        means = pixels.nanmean(0).nan_to_num(0.5)
        pixels = pixels.where(~pixels.isnan(), means)  # missing ones deviate from no mean
        if not self.reads_features:
            self._use_closed_form(pixels, pixels[:, :0])
            return {}
        rows = [torch.cat(parts) for parts in features]
        if effect := self.feature_effect:
            of_mirrored = LabelEffect(effect.condition, len(self.feature_mean))
            pairs = zip((effect, of_mirrored), rows, strict=False)
            rows = [effect.separate(torch.cat(labels), each) for effect, each in pairs]
        mean, projection = fit_feature_axes(torch.cat(rows), len(self.projection.T))
        rows = [(each - mean) @ projection for each in rows]
        sampled = torch.cat([each[:: sample.stride] for each in rows])
        if self.weight is None:
            self.weight = choose_weight(pixels, sampled, *self.latent_shape)
        factor = math.sqrt(self.weight)
        self.feature_mean.copy_(mean)
        self.projection.copy_(projection * factor)
        self._use_closed_form(pixels, sampled * factor)
        columns = zip(COLUMNS, rows, strict=False)
        return {name: each * factor for name, each in columns}

    def _extract_features(self, images: ImageTensor) -> list[Tensor]:
        chunks = images.split(BATCH)
        counts = show_progress(map(len, chunks), len(images), "features of images")
        pairs = zip(chunks, counts, strict=True)
        return [extract_features(chunk, self.network) for chunk, _ in pairs]

    def _use_closed_form(
        self, pixels: Float[Tensor, "rows n"], features: Float[Tensor, "rows axes"]
    ) -> None:
        form = fit_joint_pca(pixels, features, self.latent_shape[0])
        mse = form.measure_mse(pixels, features) + form.measure_noise()
        self.likelihood.use_error(mse.sqrt())
        encoder, decoder = self.encoder, self.decoder
        pairs = [
            (encoder.pixel_mean, form.pixel_mean),
            (encoder.pixel_axes, form.encode_pixels),
            (encoder.feature_axes, form.encode_features),
            (encoder.logvar, form.logvar),
            (decoder.pixel_mean, form.pixel_mean),
            (decoder.axes, form.decode_pixels),
            (decoder.sigma, form.sigma),
        ]
        for buffer, value in pairs:
            buffer.copy_(value)

    def metadata(self) -> dict[str, Any]:
        """Return what the likelihood records, and the weight of the features."""
        return super().metadata() | {"closed_form": {"feature_weight": self.weight}}

    def players(self) -> dict[str, Player]:
        if self.sharpener is None:
            return super().players()
        parts = {name: part for name, part in self.named_children() if name != "sharpener"}
        vae = Player(nn.ModuleDict(parts), self.terms)
        return {"vae": vae, **self.sharpener.make_players()}

    def shared(self, batch: Batch, context: StepContext) -> ForwardPass:
        """Flip and shift the images, encode and decode them.

        What their labels add is not flipped and shifted with them, as the decoder adds it.
        """
        images, features = self.observe(batch, context), batch.columns.get(COLUMNS[0])
        mask = batch.columns.get(MASK_COLUMN)
        with use_columns(self, batch.columns):
            effect = self.draw_label_effect()
            residuals = images if effect is None else images - effect
            if self.flips:
                is_flipped = uniform(context, "flip", images) < 0.5
                residuals = torch.where(
                    is_flipped[:, None, None, None], _mirror(residuals), residuals
                )
                if mask is not None:
                    mask = torch.where(is_flipped[:, None, None, None], _mirror(mask), mask)
                if features is not None:
                    flipped = batch.columns[COLUMNS[1]]
                    features = torch.where(is_flipped[:, None], flipped, features)
            if self.shifts:  # the features stay: the network sees the same object
                places = uniform(context, "shift", images, (2,))
                residuals = shift_images(residuals, places)
                mask = None if mask is None else shift_images(mask, places)
            images = residuals if effect is None else (residuals + effect).clamp(0, 1)
            if features is None:  # a batch that is not of the training
                features = self.read_features(images)
            with use_mask(self, mask):
                posterior = self.posterior(self.encoder(self.fill_missing(residuals), features))
                z = posterior.sample(noise(context, "posterior", self.latent_shape, posterior.mean))
                eps = noise(context, "decoder", self.latent_shape, z)
                output, mean = self.decoder(z, eps), self.likelihood.mean
        pair = select_pair(images, mean(output.detach())) if self.sharpener else None
        return ForwardPass(images, mask, features, posterior, z, output, pair)

    def terms(self, batch: Batch, context: StepContext, shared: ForwardPass | None = None) -> Terms:
        step = shared or self.shared(batch, context)
        with use_mask(self, step.missing):
            distortion = self.likelihood.nll(step.output, step.images)
        terms = self.objective_terms(batch, context, step.posterior, step.z, distortion)
        if self.reads_features:
            value = self.encoder.measure_features(step.posterior.mean, step.features)
            terms["features"] = Term(1.0, value, Role.SUPERVISION)
        return terms

    def refine(self, images: ImageTensor) -> ImageTensor:
        """Return decoded images with the details that they lack, if there is a sharpener."""
        return self.sharpener.refine(images) if self.sharpener else images

    def score_posterior(
        self, posterior: Posterior, batch: Batch, context: StepContext
    ) -> dict[str, PerImage]:
        """Score as `VAE.score_posterior`, and by the negative ELBO of pixels and features."""
        scores = super().score_posterior(posterior, batch, context)
        joint = scores["nelbo"]
        if self.reads_features:
            features = self.read_features(batch.image)
            joint = joint + self.encoder.measure_features(posterior.mean, features)
        return {**scores, "joint": joint}

    def compute_heads(self, images: ImageTensor) -> Tensor:
        effect = self.draw_label_effect()
        residuals = self.fill_missing(images if effect is None else images - effect)
        return self.encoder(residuals, self.read_features(images))

    def draw_label_effect(self) -> Float[Tensor, "one_or_b c h w"] | None:
        """Return what the labels in use add to the pixels; None without a condition."""
        effect = self.decoder.label_effect
        return effect().unflatten(1, self.image_shape) if effect else None

    def fill_missing(self, images: ImageTensor) -> ImageTensor:
        """Replace missing pixels by the mean image, from which they then do not deviate."""
        means = self.encoder.pixel_mean.view(1, *self.image_shape).expand(images.shape)
        return keep_missing(images, means, get_mask(self))

    def read_features(self, images: ImageTensor) -> Float[Tensor, "b axes"]:
        """Return the principal components of the images' features, in units of their noise."""
        if not self.reads_features:
            return images.new_zeros(images.shape[0], 0)
        features = extract_features(images, self.network) - self.feature_mean
        if self.feature_effect:
            features = features - self.feature_effect()
        return features @ self.projection


def _identity(images: ImageTensor) -> ImageTensor:
    return images


def _mirror(images: ImageTensor) -> ImageTensor:
    return images.flip(3)
