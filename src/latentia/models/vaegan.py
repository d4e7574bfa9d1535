"""The VAE-GAN: Larsen et al. 2016, arXiv 1512.09300, with its adversarial term in the pixels."""

from collections.abc import Callable
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
from latentia.losses.perceptual import Features, mismatch
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

    fakes: those that the critic sees; none while there is no adversary.
    """

    posterior: DiagonalGaussian
    z: Float[Tensor, "b *latent"]
    fakes: dict[str, Float[Tensor, "b c h w"]]
    reconstruction: Float[Tensor, "b c h w"]


class VAEGAN(VAE):
    """distortion + beta * rate + w * adversary: a VAE that also learns to deceive a critic.

    The critic steps first: the VAE then follows a critic that has seen this step's images. It sees
    real images, reconstructions (weight `reconstructions`) and samples of the prior (the rest; of
    weight 0 none are drawn).

    balance: a schedule over the run; w is set at each step so that the adversary's gradient at the
    decoder's output is this share of the distortion's, in norm over the batch; at the output,
    because one short backward pass through the critic gives it (at the last layer: Esser et al.
    2021, arXiv 2012.09841, equation 7). While it is 0 there is no adversary
    and neither critic nor sample is computed. None: the published w, 1 / batch per image, which is
    cosmetic (trap 4).

    features: a function of images, such as the critic's own; where it is given, the VAE is also
    drawn to the features of its images, by gradients of the share `matching` of the distortion's,
    while there is an adversary.

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
        features: Callable[[Tensor], Features] | None = None,
        matching: Schedule = HALF,
    ):
        super().__init__(encoder, decoder, likelihood, beta)
        self.critic, self.balance, self.every = critic, balance, every
        parts = zip(FAKES, (reconstructions, 1 - reconstructions), strict=True)
        self.parts = {kind: weight for kind, weight in parts if weight}
        self.features, self.matching = features, matching
        self.meter = Gauges(NAMES + ("gradient of features",) * (features is not None))

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
            return Pass(posterior, z, {}, reconstruction)
        made = {"reconstruction": reconstruction}
        if "sample" in self.parts:
            prior = noise(moment, "prior", self.latent_shape, posterior.mean)
            with evaluating(self.decoder):
                made["sample"] = self.decoder(prior)
        return Pass(posterior, z, {kind: made[kind] for kind in self.parts}, reconstruction)

    def critic_terms(self, batch: Batch, moment: Moment, shared: Pass) -> Terms:
        if not shared.fakes:
            return {}
        fakes = {kind: self.likelihood.mean(x.detach()) for kind, x in shared.fakes.items()}
        kinds = [batch.image, *fakes.values()]
        real, *rest = self.critic(torch.cat(kinds)).chunk(len(kinds))
        judged = dict(zip(fakes, rest, strict=True))
        terms: Terms = {"real": (1.0, as_real(real))}
        terms |= {kind: (self.parts[kind], as_fake(logits)) for kind, logits in judged.items()}
        self.meter.note(
            critic_loss=torch.stack([w * value.mean() for w, value in terms.values()]).sum(),
            accuracy_real=share(real > 0),
            **{f"accuracy_{kind}": share(logits < 0) for kind, logits in judged.items()},
        )
        if "sample" in fakes:
            real_spread = spread(batch.image).clamp_min(1e-12)
            self.meter.note(spread_of_samples=spread(fakes["sample"]) / real_spread)
        return terms

    def terms(self, batch: Batch, moment: Moment, shared: Pass | None = None) -> Terms:
        with self.over_betas(batch, moment):
            return self._terms(batch, moment, shared or self._pass(batch, moment))

    def _terms(self, batch: Batch, moment: Moment, shared: Pass) -> Terms:
        distortion = self.likelihood.nll(shared.reconstruction, batch.image)
        terms = self.objective(batch, moment, shared.posterior, shared.z, distortion)
        if not shared.fakes:
            return terms
        judged = {"adversarial": self.adversary(batch, torch.cat([*shared.fakes.values()]))}
        shares = {"adversarial": self.balance}
        if self.features is not None:
            judged["features"] = self.likeness(batch, shared.reconstruction)
            shares["features"] = self.matching
        leaf = shared.reconstruction.detach().requires_grad_()
        nll = self.likelihood.nll(leaf, batch.image).sum()
        gradients = (
            *torch.autograd.grad(nll, leaf),
            *(gradient for _, gradient in judged.values()),
        )
        # of the global batch, whatever part of it is here
        norms = total(torch.stack([g.double().square().sum() for g in gradients])).sqrt()
        each = norms / max(moment.global_batch, len(leaf)) ** 0.5
        names = (f"gradient_of_{name}" for name in ("distortion", *judged))
        self.meter.note(**dict(zip(names, each, strict=True)))
        most, *others = norms.tolist()
        for (name, (value, _)), norm in zip(judged.items(), others, strict=True):
            terms[name] = self.weight(shares[name], moment, most, norm), value
        return terms

    def adversary(
        self, batch: Batch, output: Float[Tensor, "all c h w"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "all c h w"]]:
        """-log D of all kinds, nats per image; and its gradient at the decoder's outputs.

        The value carries that gradient, so that the VAE's backward pass need not pass the critic.
        """
        leaf, kinds = output.detach().requires_grad_(), len(self.parts)
        # the real images keep the critic the function that it was when it learned: see the class
        seen = torch.cat([batch.image, self.likelihood.mean(leaf)])
        judged = self.critic(seen).chunk(1 + kinds)[1:]
        value = sum(w * as_real(x) for w, x in zip(self.parts.values(), judged, strict=True))
        (gradient,) = torch.autograd.grad(value.sum(), leaf)  # pyright: ignore
        all_ = torch.cat([part.flatten(1) for part in output.chunk(kinds)], 1)  # (b, kinds c h w)
        carried = torch.cat([part.flatten(1) for part in gradient.chunk(kinds)], 1)
        return carrying(value, all_, carried), gradient  # pyright: ignore

    def likeness(
        self, batch: Batch, output: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b c h w"]]:
        """How far the features of reconstructions are from those of their images, nats per image;
        and its gradient, which the value carries.
        """
        assert self.features is not None
        leaf = output.detach().requires_grad_()
        with torch.no_grad():
            real = self.features(batch.image)
        value = mismatch(self.features(self.likelihood.mean(leaf)), real)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return carrying(value, output, gradient), gradient

    def weight(
        self, balance: Schedule | None, moment: Moment, distortion: float, other: float
    ) -> float:
        """w of this step, from both gradients' norms; a critic that says nothing has none."""
        if balance is None:
            return 1 / moment.global_batch
        if not other > 1e-8 * distortion:
            return 0.0
        return balance(moment.share) * distortion / other

    def gauges(self) -> dict[str, Tensor]:
        return self.meter.read()
