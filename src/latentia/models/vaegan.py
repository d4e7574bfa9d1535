"""The VAE-GAN: Larsen et al. 2016, arXiv 1512.09300, with its adversarial term in the pixels."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Player, Role, StepContext, Term, Terms
from latentia.core.distributed import all_reduce_sum
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.modes import evaluation_mode
from latentia.core.posterior import Posterior
from latentia.core.schedules import Schedule
from latentia.core.seeding import noise
from latentia.core.tensors import ImageTensor, Latents, PerImage, to_float64
from latentia.losses.adversarial import (
    NonSaturating,
    Relativistic,
    feature_matching_loss,
    gradient_penalty,
    with_known_gradient,
)
from latentia.losses.likelihoods import Likelihood
from latentia.models.augmentation import Augmentation
from latentia.models.monitors import Monitors, fraction_true, rms_std
from latentia.models.vae import BETA_ONE, VAE, PosteriorFactory
from latentia.nets.column_condition import use_columns

NAMES = "accuracy real", "accuracy reconstruction", "accuracy sample"
NAMES += "gradient of distortion", "gradient of adversarial", "critic loss", "spread of samples"
ValueAndGradient = tuple[PerImage, Float[Tensor, "kinds_b c h w"]]
LAZY_INTERVAL = 4  # critic steps from one gradient penalty to the next


@dataclass(frozen=True)
class AdversarialObjective:
    """The adversarial part w * L_adversarial + v * L_features of a VAE-GAN's loss.

    Parameters
    ----------
    gradient_ratio : norm of the adversarial gradient over the norm of the distortion's gradient,
        a schedule over the run. It sets w at each step (Esser et al. 2021, arXiv 2012.09841,
        equation 7). Both gradients are taken over the whole batch, and at the decoder's output,
        where one short backward pass through the critic gives them. While it is 0 the critic
        rests. None: w is 1 / batch for each image, as published, which hardly moves the decoder.
    feature_matching : the same ratio for feature matching of reconstructions, which sets v while
        the critic acts. None: no such loss.
    reconstruction_weight : weight of reconstructions among the fakes, in [0, 1]; samples of the
        prior have the rest. The loss has no fakes of weight 0.
    """

    gradient_ratio: Schedule | None = None
    feature_matching: Schedule | None = None
    reconstruction_weight: float = 0.5
    loss_type: ClassVar[type[NonSaturating] | type[Relativistic]]
    # the published critic acts at each step, without penalties
    critic_interval, gamma, monitors_samples = 1, 0.0, False

    @property
    def loss(self) -> NonSaturating | Relativistic:
        weight = self.reconstruction_weight
        weights = {"reconstruction": weight, "sample": 1 - weight}
        return self.loss_type({kind: value for kind, value in weights.items() if value})

    def is_active(self, context: StepContext) -> bool:
        """Whether the critic acts at this step."""
        ratio, interval = self.gradient_ratio, self.critic_interval
        is_resting = ratio is not None and context.read(lambda now: not ratio(now.progress))
        return not is_resting and context.read(lambda now: not now.step % interval)

    def is_lazy_step(self, context: StepContext) -> bool:
        """Whether this step of the critic has penalties, in lazy regularisation."""
        interval = self.critic_interval
        return context.read(lambda now: not now.step // interval % LAZY_INTERVAL)

    def term_weight(
        self, term: str, context: StepContext, distortion_norm: Tensor, norm: Tensor
    ) -> float | Tensor:
        """w or v, from the norms of the distortion's and the term's gradient."""
        ratio = {"adversarial": self.gradient_ratio, "features": self.feature_matching}[term]
        if ratio is None:
            return 1 / context.global_batch_size
        weight = context.read(lambda now: ratio(now.progress)) * distortion_norm / norm
        # a constant critic has no gradient
        return torch.where(norm > 1e-8 * distortion_norm, weight, 0)


class PublishedObjective(AdversarialObjective):
    """Binary cross-entropy: the critic labels each image real or fake; Larsen et al. 2016."""

    loss_type = NonSaturating


@dataclass(frozen=True)
class RelativisticObjective(AdversarialObjective):
    """Relativistic pairs of an image and its own fake, with R1 and R2; Huang et al. 2024.

    If samples have no weight, the critic still sees some at its lazy steps, for the monitors only.

    Parameters
    ----------
    critic_interval : the critic acts at every so many steps
    gamma : weight of R1 on real images and of R2 on fakes (see `gradient_penalty`), 0: no penalty.
        Every fourth step of the critic has penalties, four times as heavy (lazy regularisation:
        Karras et al. 2020, arXiv 1912.04958, appendix B). The critic must not have BatchNorm.
    """

    critic_interval: int = 1
    gamma: float = 0.0
    loss_type, monitors_samples = Relativistic, True


class ForwardPass(NamedTuple):
    """One step's posterior, latents and raw decoder outputs, with their graph to the VAE."""

    posterior: Posterior
    z: Latents
    fakes: dict[str, ImageTensor]  # what the critic sees, by kind; empty while it rests
    context: StepContext
    reconstruction: ImageTensor


class VAEGAN(VAE):
    """VAE-GAN: distortion + beta * rate + w * adversarial, in nats per image.

    The critic steps first, so that the VAE follows a critic that has seen this step's images.
    BatchNorm in the encoder sees real images, in the decoder reconstructions only: samples are
    decoded in evaluation mode, as a user draws them. BatchNorm in the critic sees real images and
    all fakes in one batch, in the steps of both players, so that no statistic reveals a label.

    Parameters
    ----------
    encoder, decoder, likelihood, beta, posterior
        as in `VAE`
    critic : nn.Module
        images (b, c, h, w) to logits, which are `to_logits` of the last of its `features`
    objective : PublishedObjective or RelativisticObjective
        the adversarial part of the loss

    Raises
    ------
    ValueError
        if the objective has gradient penalties and the critic has BatchNorm

    Examples
    --------
    >>> import latentia
    >>> from latentia.models.vaegan import PublishedObjective
    >>> from latentia.nets.vaegan import make_vaegan_networks
    >>> encoder, decoder, critic = make_vaegan_networks((1, 32, 32), 4)
    >>> model = latentia.VAEGAN(encoder, decoder, latentia.Gaussian(), critic, PublishedObjective())
    >>> list(model.players())
    ['critic', 'vae']
    """

    leaves_out_missing = False  # the critic sees them
    critic: Any  # an nn.Module with `features` and `to_logits`
    selection_metric = None  # the ELBO would select an epoch with a weak critic

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        critic: nn.Module,
        objective: AdversarialObjective,
        beta: Schedule = BETA_ONE,
        posterior: PosteriorFactory = DiagonalGaussian.from_heads,
    ):
        super().__init__(encoder, decoder, likelihood, beta, posterior)
        self.critic, self.adversarial_objective = critic, objective
        batch_norm = nn.modules.batchnorm._BatchNorm  # of any number of dimensions
        self.has_batch_norm = any(isinstance(m, batch_norm) for m in critic.modules())
        if objective.gamma and self.has_batch_norm:
            raise ValueError("R1 and R2 need a critic without BatchNorm: see `gradient_penalty`")
        features = objective.feature_matching is not None
        self.meter = Monitors(NAMES + ("gradient of features",) * features)
        self.augment = Augmentation()  # of the images that the critic sees

    def players(self) -> dict[str, Player]:
        names = "encoder", "decoder", "likelihood", "posterior", "supervision", "dial", "condition"
        parts = {k: part for k in names if isinstance(part := getattr(self, k), nn.Module)}
        vae = Player(nn.ModuleDict(parts), self.terms)
        return {"critic": Player(self.critic, self.critic_terms), "vae": vae}

    def shared(self, batch: Batch, context: StepContext) -> ForwardPass:
        objective = self.adversarial_objective
        kinds = objective.loss.weights if objective.is_active(context) else ()
        with self.use_conditions(batch, context):
            posterior = self.encode(self.observe(batch, context))
            z = posterior.sample(noise(context, "posterior", self.latent_shape, posterior.mean))
            reconstruction: Tensor = self.decoder(z)
            fakes = dict.fromkeys(kinds, reconstruction)
            if "sample" in fakes:
                fakes["sample"] = self.decode_prior(z, context)
        return ForwardPass(posterior, z, fakes, context, reconstruction)

    def decode_prior(self, z: Latents, context: StepContext) -> Tensor:
        """Decode as many prior latents as `z` has rows, to raw outputs."""
        with evaluation_mode(self.decoder):
            return self.decoder(self.draw_step_prior(z, context))

    def critic_terms(self, batch: Batch, context: StepContext, shared: ForwardPass) -> Terms:
        if not shared.fakes:
            return {}
        objective, loss = self.adversarial_objective, self.adversarial_objective.loss
        is_lazy = objective.is_lazy_step(context)
        penalty = LAZY_INTERVAL * objective.gamma if is_lazy else 0.0
        fakes = {kind: self.likelihood.mean(x.detach()) for kind, x in shared.fakes.items()}
        images = torch.cat([batch.image, *fakes.values()])
        images = self.augment(images, context, 1 + len(fakes)).requires_grad_(penalty > 0)
        logits = self.critic(images)
        real, *of_fakes = logits.chunk(1 + len(fakes))
        terms = loss.critic_terms(real, *of_fakes)
        # a relativistic logit has no zero: an image is classified against its partner
        threshold = real if loss.relativistic else 0.0
        accuracies = [fraction_true(x < threshold) for x in of_fakes]
        accuracy_real = loss.sum_kinds(accuracies) if loss.relativistic else fraction_true(real > 0)
        self.meter.record(
            critic_loss=torch.stack([w * value.mean() for w, value, _ in terms.values()]).sum(),
            accuracy_real=accuracy_real,
            **{f"accuracy_{kind}": x for kind, x in zip(fakes, accuracies, strict=True)},
        )
        if penalty:
            r1, *r2 = gradient_penalty(logits, images).chunk(1 + len(fakes))
            terms["R1"] = Term(penalty, r1, Role.PENALTY)
            terms["R2"] = Term(penalty, loss.sum_kinds(r2), Role.PENALTY)
        samples = fakes.get("sample")
        if samples is None and is_lazy and objective.monitors_samples:
            with torch.no_grad(), use_columns(self, batch.columns):
                samples = self.likelihood.mean(self.decode_prior(shared.z, context))
                logits = self.critic(self.augment(samples, context))
                self.meter.record(accuracy_sample=fraction_true(logits < threshold))
        if samples is not None:
            real_spread = rms_std(batch.image).clamp_min(1e-12)
            self.meter.record(spread_of_samples=rms_std(samples) / real_spread)
        return terms

    def terms(self, batch: Batch, context: StepContext, shared: ForwardPass | None = None) -> Terms:
        with self.use_conditions(batch, context):
            return self._vae_terms(batch, context, shared or self.shared(batch, context))

    def _vae_terms(self, batch: Batch, context: StepContext, shared: ForwardPass) -> Terms:
        images = self.observe(batch, context)
        distortion = self.likelihood.nll(shared.reconstruction, images)
        terms = self.objective_terms(batch, context, shared.posterior, shared.z, distortion)
        if not shared.fakes:
            return terms
        losses = self.adversarial_losses(batch, shared)
        leaf = shared.reconstruction.detach().requires_grad_()
        nll = self.likelihood.nll(leaf, images).sum()
        gradients = *torch.autograd.grad(nll, leaf), *(gradient for _, gradient in losses.values())
        # over the global batch, of which this process may have a part
        squares = torch.stack([to_float64(g).square().sum() for g in gradients])
        norms = all_reduce_sum(squares).sqrt()
        rms = norms / max(context.global_batch_size, len(leaf)) ** 0.5
        names = (f"gradient_of_{name}" for name in ("distortion", *losses))
        self.meter.record(**dict(zip(names, rms, strict=True)))
        distortion_norm, *loss_norms = norms
        term_weight = self.adversarial_objective.term_weight
        for (name, (value, _)), norm in zip(losses.items(), loss_norms, strict=True):
            weight = term_weight(name, context, distortion_norm, norm)
            role = Role.ADVERSARIAL if name == "adversarial" else Role.PENALTY
            terms[name] = Term(weight, value, role)
        return terms

    def adversarial_losses(self, batch: Batch, shared: ForwardPass) -> dict[str, ValueAndGradient]:
        """Adversarial and feature matching loss, each with its gradient at the decoder's outputs.

        The values carry these gradients, so that the VAE's backward pass skips the critic.
        """
        outputs = [*shared.fakes.values()]
        n, kinds = len(batch.image), len(outputs)
        objective = self.adversarial_objective
        leaf = torch.cat(outputs).detach().requires_grad_()  # (kinds b, c, h, w)
        images = self.augment(self.likelihood.mean(leaf), shared.context, kinds)
        real_images = self.augment(batch.image, shared.context)
        if self.has_batch_norm:  # the critic's function depends on the batch: the one it stepped on
            features = self.critic.features(torch.cat([real_images, images]))
            of_real, of_fakes = zip(*(x.split([n, kinds * n]) for x in features), strict=True)
        else:
            with torch.no_grad():
                of_real = self.critic.features(real_images)
            of_fakes = self.critic.features(images)
        real = self.critic.to_logits(of_real[-1])
        fakes = self.critic.to_logits(of_fakes[-1]).chunk(kinds)
        values = {"adversarial": objective.loss.generator_loss(real, *fakes)}
        if objective.feature_matching is not None and "reconstruction" in shared.fakes:
            of_reconstructions = [layer[:n] for layer in of_fakes]  # the first kind
            values["features"] = feature_matching_loss(of_reconstructions, of_real)
        losses = {}
        for name, value in values.items():
            (gradient,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True)
            losses[name] = with_known_gradient(value, outputs, gradient.chunk(kinds)), gradient
        return losses

    def monitors(self) -> dict[str, Tensor]:
        return self.meter.read_means()
