"""The VAE-GAN: Larsen et al. 2016, arXiv 1512.09300, with its adversarial term in the pixels."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Moment, Player, Terms
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.modes import evaluating
from latentia.core.processes import total
from latentia.core.schedules import Schedule
from latentia.core.seeding import noise
from latentia.losses.adversarial import gradient_penalty, with_known_gradient
from latentia.losses.likelihood import Likelihood
from latentia.losses.perceptual import feature_matching_loss
from latentia.models.gauges import Gauges, share, spread
from latentia.models.vae import BETA_ONE, VAE
from latentia.models.vaegan_objectives import PublishedObjective, RelativisticObjective

NAMES = (
    *("accuracy real", "accuracy reconstruction", "accuracy sample"),
    *("gradient of distortion", "gradient of adversarial"),
    *("critic loss", "spread of samples"),
)


class ForwardPass(NamedTuple):
    """One step's posterior, latents and raw decoder outputs, with their graph to the VAE.

    fakes: the decoder outputs that the critic sees, by kind; empty while the critic rests.
    """

    posterior: DiagonalGaussian
    z: Float[Tensor, "b *latent"]
    fakes: dict[str, Float[Tensor, "b c h w"]]
    reconstruction: Float[Tensor, "b c h w"]


class VAEGAN(VAE):
    """VAE-GAN: distortion + beta * rate + w * adversarial, in nats per image.

    The critic steps first, so that the VAE follows a critic that has seen this step's images.
    BatchNorm in the encoder sees real images, in the decoder reconstructions only: samples are
    decoded in evaluation mode, as a user draws them. BatchNorm in the critic sees real images and
    all fakes in one batch, in the steps of both players, so that no statistic reveals a label.

    Parameters
    ----------
    encoder, decoder, likelihood, beta : see `VAE`
    critic : images (b, c, h, w) to logits, as `verdict` of the last of its `features`
    objective : what the adversarial part of the loss is
    """

    critic: Any  # an nn.Module with `features` and `verdict`
    selected_by = None  # the ELBO would choose an epoch in which the adversary is weak

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        critic: nn.Module,
        objective: PublishedObjective | RelativisticObjective,
        beta: Schedule = BETA_ONE,
    ):
        super().__init__(encoder, decoder, likelihood, beta)
        self.critic, self.adversarial_objective = critic, objective
        batch_norm = nn.modules.batchnorm._BatchNorm  # of any number of dimensions
        self.has_batch_norm = any(isinstance(m, batch_norm) for m in critic.modules())
        if isinstance(objective, RelativisticObjective) and objective.gamma and self.has_batch_norm:
            raise ValueError("R1 and R2 need a critic without BatchNorm: see `gradient_penalty`")
        features = objective.feature_matching is not None
        self.meter = Gauges(NAMES + ("gradient of features",) * features)

    def players(self) -> dict[str, Player]:
        modules = {"encoder": self.encoder, "decoder": self.decoder, "likelihood": self.likelihood}
        if self.supervision:
            modules["supervision"] = self.supervision
        if self.dial:
            modules["dial"] = self.dial
        return {
            "critic": Player(self.critic, self.critic_terms),
            "vae": Player(nn.ModuleDict(modules), self.terms),
        }

    def shared(self, batch: Batch, moment: Moment) -> ForwardPass:
        with self.over_betas(batch, moment):
            return self._forward_pass(batch, moment)

    def _forward_pass(self, batch: Batch, moment: Moment) -> ForwardPass:
        posterior = self.encode(batch.image)
        z = posterior.sample(noise(moment, "posterior", self.latent_shape, posterior.mean))
        reconstruction = self.decoder(z)
        fakes = {}
        if self.adversarial_objective.is_active(moment):
            for kind in self.adversarial_objective.loss.weights:
                sampled = kind == "sample"
                fakes[kind] = self.decode_prior(z, moment) if sampled else reconstruction
        return ForwardPass(posterior, z, fakes, reconstruction)

    def decode_prior(
        self, z: Float[Tensor, "b *latent"], moment: Moment
    ) -> Float[Tensor, "b c h w"]:
        """Raw decoder outputs of as many prior latents as there are in `z`."""
        with evaluating(self.decoder):
            return self.decoder(noise(moment, "prior", self.latent_shape, z))

    def critic_terms(self, batch: Batch, moment: Moment, shared: ForwardPass) -> Terms:
        if not shared.fakes:
            return {}
        objective, loss = self.adversarial_objective, self.adversarial_objective.loss
        penalty = objective.penalty_weight(moment)
        fakes = {kind: self.likelihood.mean(x.detach()) for kind, x in shared.fakes.items()}
        images = torch.cat([batch.image, *fakes.values()]).requires_grad_(penalty > 0)
        logits = self.critic(images)
        real, *of_fakes = logits.chunk(1 + len(fakes))
        terms = loss.critic_terms(real, *of_fakes)
        # a relativistic critic has no zero: an image is classified against its own pair
        threshold = real if loss.relativistic else 0.0
        accuracies = [share(x < threshold) for x in of_fakes]
        self.meter.note(
            critic_loss=torch.stack([w * value.mean() for w, value in terms.values()]).sum(),
            accuracy_real=loss.sum_kinds(accuracies) if loss.relativistic else share(real > 0),
            **{f"accuracy_{kind}": x for kind, x in zip(fakes, accuracies, strict=True)},
        )
        if penalty:
            r1, *r2 = gradient_penalty(logits, images).chunk(1 + len(fakes))
            terms |= {"R1": (penalty, r1), "R2": (penalty, loss.sum_kinds(r2))}
        samples = fakes.get("sample")
        if samples is None and objective.is_lazy_step(moment):
            with torch.no_grad():
                samples = self.likelihood.mean(self.decode_prior(shared.z, moment))
                self.meter.note(accuracy_sample=share(self.critic(samples) < threshold))
        if samples is not None:
            real_spread = spread(batch.image).clamp_min(1e-12)
            self.meter.note(spread_of_samples=spread(samples) / real_spread)
        return terms

    def terms(self, batch: Batch, moment: Moment, shared: ForwardPass | None = None) -> Terms:
        with self.over_betas(batch, moment):
            return self._vae_terms(batch, moment, shared or self._forward_pass(batch, moment))

    def _vae_terms(self, batch: Batch, moment: Moment, shared: ForwardPass) -> Terms:
        distortion = self.likelihood.nll(shared.reconstruction, batch.image)
        terms = self.objective(batch, moment, shared.posterior, shared.z, distortion)
        if not shared.fakes:
            return terms
        losses = self.adversarial_losses(batch, shared)
        leaf = shared.reconstruction.detach().requires_grad_()
        nll = self.likelihood.nll(leaf, batch.image).sum()
        gradients = *torch.autograd.grad(nll, leaf), *(gradient for _, gradient in losses.values())
        # over the global batch, of which this process may hold a part
        norms = total(torch.stack([g.double().square().sum() for g in gradients])).sqrt()
        rms = norms / max(moment.global_batch, len(leaf)) ** 0.5
        names = (f"gradient_of_{name}" for name in ("distortion", *losses))
        self.meter.note(**dict(zip(names, rms, strict=True)))
        distortion_norm, *others = norms.tolist()
        for (name, (value, _)), norm in zip(losses.items(), others, strict=True):
            weigh = self.adversarial_objective.term_weight
            terms[name] = weigh(name, moment, distortion_norm, norm), value
        return terms

    def adversarial_losses(
        self, batch: Batch, shared: ForwardPass
    ) -> dict[str, tuple[Float[Tensor, " b"], Float[Tensor, "kinds_b c h w"]]]:
        """Adversarial and feature matching loss, each with its gradient at the decoder's outputs.

        The values carry these gradients, so that the VAE's backward pass skips the critic.
        """
        output = torch.cat([*shared.fakes.values()])  # (kinds b, c, h, w)
        n, kinds = len(batch.image), len(shared.fakes)
        objective = self.adversarial_objective
        leaf = output.detach().requires_grad_()
        images = self.likelihood.mean(leaf)
        if self.has_batch_norm:  # the critic's function depends on the batch: the one it stepped on
            features = self.critic.features(torch.cat([batch.image, images]))
            of_real, of_fakes = zip(*(x.split([n, kinds * n]) for x in features), strict=True)
        else:
            with torch.no_grad():
                of_real = self.critic.features(batch.image)
            of_fakes = self.critic.features(images)
        real = self.critic.verdict(of_real[-1])
        fakes = self.critic.verdict(of_fakes[-1]).chunk(kinds)
        values = {"adversarial": objective.loss.generator_loss(real, *fakes)}
        if objective.feature_matching is not None and "reconstruction" in shared.fakes:
            reconstructed = [layer[:n] for layer in of_fakes]  # the first kind
            real_features = [layer.detach() for layer in of_real]
            values["features"] = feature_matching_loss(reconstructed, real_features)
        losses = {}
        for name, value in values.items():
            (gradient,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True)
            by_image = (
                torch.cat([part.flatten(1) for part in x.chunk(kinds)], 1)
                for x in (output, gradient)
            )  # (b, kinds c h w) each
            losses[name] = with_known_gradient(value, *by_image), gradient
        return losses

    def gauges(self) -> dict[str, Tensor]:
        return self.meter.read()
