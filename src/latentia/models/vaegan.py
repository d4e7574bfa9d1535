"""The VAE-GAN: Larsen et al. 2016, arXiv 1512.09300, with its adversarial term in the pixels."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Moment, Player, Terms
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.modes import evaluating
from latentia.core.processes import total
from latentia.core.schedules import Schedule, constant
from latentia.core.seeding import noise
from latentia.losses.adversarial import as_fake, as_real, carrying
from latentia.losses.likelihood import Likelihood
from latentia.models.gauges import Gauges, share, spread
from latentia.models.vae import BETA_ONE, VAE

HALF = constant(0.5)
FAKES = ("reconstruction", "sample")
NAMES = (
    *(f"accuracy {kind}" for kind in ("real", *FAKES)),
    *(f"gradient of {term}" for term in ("distortion", "adversarial")),
    *("critic loss", "spread of samples"),
)


class Pass(NamedTuple):
    """One step's posterior, its draw and decoder outputs, raw, with their graph to the VAE.

    sample: None while there is no adversary.
    """

    posterior: DiagonalGaussian
    z: Float[Tensor, "b *latent"]
    reconstruction: Float[Tensor, "b c h w"]
    sample: Float[Tensor, "b c h w"] | None


class VAEGAN(VAE):
    """distortion + beta * rate + w * adversary: a VAE that also learns to deceive a critic.

    The critic steps first: the VAE then follows a critic that has seen this step's images. It sees
    real images, reconstructions (weight `reconstructions`) and samples of the prior (the rest).

    balance: a schedule over the run; w is set at each step so that the adversary's gradient at the
    decoder's output is this share of the distortion's, in norm over the batch; at the output,
    because one short backward pass through the critic gives it (at the last layer: Esser et al.
    2021, arXiv 2012.09841, equation 7). While it is 0 there is no adversary
    and neither critic nor sample is computed. None: the published w, 1 / batch per image, which is
    cosmetic (trap 4).

    What each batch of a BatchNorm holds. Encoder: real images. Decoder: reconstructions; samples
    are drawn in evaluation mode, as a user draws them, with the running statistics, and move
    none. Critic: the three kinds together, in both turns, so that no statistic tells a label.
    """

    selected_by = None  # the ELBO would choose an epoch of little adversary

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        critic: nn.Module,
        beta: Schedule = BETA_ONE,
        balance: Schedule | None = HALF,
        reconstructions: float = 0.5,
        every: int = 1,
    ):
        super().__init__(encoder, decoder, likelihood, beta)
        self.critic, self.balance, self.every = critic, balance, every
        self.parts = {"reconstruction": reconstructions, "sample": 1 - reconstructions}
        self.meter = Gauges(NAMES)

    def players(self) -> dict[str, Player]:
        own = {"encoder": self.encoder, "decoder": self.decoder, "likelihood": self.likelihood}
        if self.supervision:
            own["supervision"] = self.supervision
        if self.dial:
            own["dial"] = self.dial
        return {
            "critic": Player(self.critic, self.critic_terms),
            "vae": Player(nn.ModuleDict(own), self.terms),
        }

    def shared(self, batch: Batch, moment: Moment) -> Pass:
        with self.over_betas(batch, moment):
            return self._pass(batch, moment)

    def _pass(self, batch: Batch, moment: Moment) -> Pass:
        posterior = self.encode(batch.image)
        z = posterior.sample(noise(moment, "posterior", self.latent_shape, posterior.mean))
        reconstruction = self.decoder(z)
        absent = self.balance is not None and not self.balance(moment.share)
        if absent or moment.step % self.every:
            return Pass(posterior, z, reconstruction, None)
        prior = noise(moment, "prior", self.latent_shape, posterior.mean)
        with evaluating(self.decoder):
            return Pass(posterior, z, reconstruction, self.decoder(prior))

    def critic_terms(self, batch: Batch, moment: Moment, shared: Pass) -> Terms:
        if shared.sample is None:
            return {}
        fakes = [self.likelihood.mean(x.detach()) for x in (shared.reconstruction, shared.sample)]
        real, *rest = self.critic(torch.cat([batch.image, *fakes])).chunk(3)
        judged = zip(FAKES, rest, strict=True)
        terms: Terms = {"real": (1.0, as_real(real))}
        terms |= {kind: (self.parts[kind], as_fake(logits)) for kind, logits in judged}
        self.meter.note(
            critic_loss=torch.stack([w * value.mean() for w, value in terms.values()]).sum(),
            accuracy_real=share(real > 0),
            accuracy_reconstruction=share(rest[0] < 0),
            accuracy_sample=share(rest[1] < 0),
            spread_of_samples=spread(fakes[1]) / spread(batch.image).clamp_min(1e-12),
        )
        return terms

    def terms(self, batch: Batch, moment: Moment, shared: Pass | None = None) -> Terms:
        with self.over_betas(batch, moment):
            return self._terms(batch, moment, shared or self._pass(batch, moment))

    def _terms(self, batch: Batch, moment: Moment, shared: Pass) -> Terms:
        distortion = self.likelihood.nll(shared.reconstruction, batch.image)
        terms = self.objective(batch, moment, shared.posterior, shared.z, distortion)
        if shared.sample is None:
            return terms
        output = torch.cat([shared.reconstruction, shared.sample])
        adversarial, gradient = self.adversary(batch, output)
        leaf = shared.reconstruction.detach().requires_grad_()
        nll = self.likelihood.nll(leaf, batch.image).sum()
        both = (*torch.autograd.grad(nll, leaf), gradient)
        # of the global batch, whatever part of it is here
        norms = total(torch.stack([g.double().square().sum() for g in both])).sqrt()
        each = norms / max(moment.global_batch, len(leaf)) ** 0.5
        self.meter.note(gradient_of_distortion=each[0], gradient_of_adversarial=each[1])
        weight = self.weight(moment, *norms.tolist())
        return terms | {"adversarial": (weight, adversarial)}

    def adversary(
        self, batch: Batch, output: Float[Tensor, "both c h w"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "both c h w"]]:
        """-log D of both kinds, nats per image; and its gradient at the decoder's outputs.

        The value carries that gradient, so that the VAE's backward pass need not pass the critic.
        """
        leaf = output.detach().requires_grad_()
        # the real images keep the critic the function that it was when it learned: see the class
        judged = self.critic(torch.cat([batch.image, self.likelihood.mean(leaf)])).chunk(3)[1:]
        value = sum(self.parts[k] * as_real(x) for k, x in zip(FAKES, judged, strict=True))
        (gradient,) = torch.autograd.grad(value.sum(), leaf)  # pyright: ignore
        both = torch.cat([part.flatten(1) for part in output.chunk(2)], 1)  # (b, 2 c h w)
        carried = torch.cat([part.flatten(1) for part in gradient.chunk(2)], 1)
        return carrying(value, both, carried), gradient  # pyright: ignore

    def weight(self, moment: Moment, distortion: float, adversarial: float) -> float:
        """w of this step, from both gradients' norms; a critic that says nothing has none."""
        if self.balance is None:
            return 1 / moment.global_batch
        if not adversarial > 1e-8 * distortion:
            return 0.0
        return self.balance(moment.share) * distortion / adversarial

    def gauges(self) -> dict[str, Tensor]:
        return self.meter.read()
