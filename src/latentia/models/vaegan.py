"""The VAE-GAN: Larsen et al. 2016, arXiv 1512.09300, with its adversarial term in the pixels."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Player, StepContext, Terms
from latentia.core.distributed import all_reduce_sum
from latentia.core.gaussian import DiagonalGaussian
from latentia.core.modes import evaluation_mode
from latentia.core.schedules import Schedule, constant
from latentia.core.seeding import noise
from latentia.core.tensors import to_float32
from latentia.losses.adversarial import Logits, as_fake, as_real, carrying, slope
from latentia.losses.likelihoods import Likelihood
from latentia.losses.perceptual import mismatch
from latentia.models.monitors import Monitors, fraction_true, rms_std
from latentia.models.vae import BETA_ONE, VAE

HALF = constant(0.5)
FAKES = ("reconstruction", "sample")
NAMES = (
    *(f"accuracy {kind}" for kind in ("real", *FAKES)),
    *(f"gradient of {term}" for term in ("distortion", "adversarial")),
    *("critic loss", "spread of samples"),
)
LAZY = 4  # the critic is penalised at every so many of its steps, by so many times


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
    real images, reconstructions (weight `reconstructions`) and samples of the prior (the rest). Of
    weight 0 samples are drawn only to be looked at, where `look`: at every fourth of the critic's
    steps, without a gradient, for the gauges.

    balance: a schedule over the run; w is set at each step so that the adversary's gradient at the
    decoder's output is this share of the distortion's, in norm over the batch; at the output,
    because one short backward pass through the critic gives it (at the last layer: Esser et al.
    2021, arXiv 2012.09841, equation 7). While it is 0 there is no adversary
    and neither critic nor sample is computed. None: the published w, 1 / batch per image, which is
    cosmetic (trap 4).

    pairs: the critic tells each image from its own fake, of which it learns the difference alone
    (relativistic pairs; see `Relativistic`); else each for itself. gamma weighs R1 on real images
    and R2 on fakes, at every fourth step fourfold (Karras et al. 2020, arXiv 1912.04958, appendix
    B); it needs a critic that judges each image apart. None: no penalty.

    matching: where it is given, the VAE is also drawn to what the critic's layers say of its
    images, by gradients of this share of the distortion's, while there is an adversary.

    critic: images to logits, as `verdict` of the last of its `features`.

    What each batch of a BatchNorm holds. Encoder: real images. Decoder: reconstructions; samples
    are drawn in evaluation mode, as a user draws them, with the running statistics, and move
    none. Critic, where it has any: the three kinds together, in both turns, so that no statistic
    tells a label.
    """

    critic: Any  # an nn.Module with `features` and `verdict`
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
        pairs: bool = False,
        gamma: float | None = None,
        matching: Schedule | None = None,
        look: bool = False,
    ):
        super().__init__(encoder, decoder, likelihood, beta)
        self.critic, self.balance, self.every = critic, balance, every
        parts = zip(FAKES, (reconstructions, 1 - reconstructions), strict=True)
        self.parts = {kind: weight for kind, weight in parts if weight}
        self.pairs, self.gamma = pairs, gamma
        self.matching, self.look = matching, look
        # whether a logit is of its image alone
        of_batch = nn.modules.batchnorm._BatchNorm  # of any number of dimensions
        self.apart = not any(isinstance(m, of_batch) for m in critic.modules())
        if gamma is not None and not self.apart:
            raise ValueError("penalties need a critic without BatchNorm: see `slope`")
        self.meter = Monitors(NAMES + ("gradient of features",) * (matching is not None))

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

    def shared(self, batch: Batch, moment: StepContext) -> Pass:
        with self.over_betas(batch, moment):
            return self._pass(batch, moment)

    def _pass(self, batch: Batch, moment: StepContext) -> Pass:
        posterior = self.encode(batch.image)
        z = posterior.sample(noise(moment, "posterior", self.latent_shape, posterior.mean))
        reconstruction = self.decoder(z)
        absent = self.balance is not None and not self.balance(moment.share)
        if absent or moment.step % self.every:
            return Pass(posterior, z, {}, reconstruction)
        made = {"reconstruction": reconstruction}
        if "sample" in self.parts:
            made["sample"] = self.drawn(posterior.mean, moment)
        return Pass(posterior, z, {kind: made[kind] for kind in self.parts}, reconstruction)

    def drawn(
        self, like: Float[Tensor, "b *latent"], moment: StepContext
    ) -> Float[Tensor, "b c h w"]:
        """Decoder outputs of the prior, raw, as many as there are latents."""
        with evaluation_mode(self.decoder):
            return self.decoder(noise(moment, "prior", self.latent_shape, like))

    def critic_terms(self, batch: Batch, moment: StepContext, shared: Pass) -> Terms:
        if not shared.fakes:
            return {}
        fakes = {kind: self.likelihood.mean(x.detach()) for kind, x in shared.fakes.items()}
        seldom = not moment.step // self.every % LAZY
        penalised = self.gamma is not None and seldom
        kinds = 1 + len(fakes)
        seen = torch.cat([batch.image, *fakes.values()]).requires_grad_(penalised)
        logits = self.critic(seen)
        real, *rest = logits.chunk(kinds)
        judged = dict(zip(fakes, rest, strict=True))
        if self.pairs:
            terms: Terms = {
                "pair": (
                    1.0,
                    self.weighted(as_real(to_float32(real) - to_float32(x)) for x in rest),
                )
            }
        else:
            terms = {"real": (1.0, as_real(real))}
            terms |= {kind: (self.parts[kind], as_fake(x)) for kind, x in judged.items()}
        # pairs have no zero: an image is told right where it is above its fake
        bar = real if self.pairs else 0.0
        parts = zip(self.parts.values(), rest, strict=True)
        right = [w * fraction_true(real > (x if self.pairs else 0.0)) for w, x in parts]
        self.meter.note(
            critic_loss=torch.stack([w * value.mean() for w, value in terms.values()]).sum(),
            accuracy_real=torch.stack(right).sum(),
            **{f"accuracy_{kind}": fraction_true(x < bar) for kind, x in judged.items()},
        )
        if penalised:
            assert self.gamma is not None
            on_real, *on_fakes = slope(logits, seen).chunk(kinds)
            terms["R1"] = (LAZY * self.gamma, on_real)
            terms["R2"] = (LAZY * self.gamma, self.weighted(on_fakes))
        if seldom and self.look and "sample" not in fakes:
            with torch.no_grad():
                fakes["sample"] = self.likelihood.mean(self.drawn(shared.z, moment))
                self.meter.note(accuracy_sample=fraction_true(self.critic(fakes["sample"]) < bar))
        if "sample" in fakes:
            real_spread = rms_std(batch.image).clamp_min(1e-12)
            self.meter.note(spread_of_samples=rms_std(fakes["sample"]) / real_spread)
        return terms

    def terms(self, batch: Batch, moment: StepContext, shared: Pass | None = None) -> Terms:
        with self.over_betas(batch, moment):
            return self._terms(batch, moment, shared or self._pass(batch, moment))

    def _terms(self, batch: Batch, moment: StepContext, shared: Pass) -> Terms:
        distortion = self.likelihood.nll(shared.reconstruction, batch.image)
        terms = self.objective(batch, moment, shared.posterior, shared.z, distortion)
        if not shared.fakes:
            return terms
        judged = self.judged(batch, shared)
        shares = {"adversarial": self.balance, "features": self.matching}
        leaf = shared.reconstruction.detach().requires_grad_()
        nll = self.likelihood.nll(leaf, batch.image).sum()
        gradients = (
            *torch.autograd.grad(nll, leaf),
            *(gradient for _, gradient in judged.values()),
        )
        # of the global batch, whatever part of it is here
        norms = all_reduce_sum(torch.stack([g.double().square().sum() for g in gradients])).sqrt()
        each = norms / max(moment.global_batch, len(leaf)) ** 0.5
        names = (f"gradient_of_{name}" for name in ("distortion", *judged))
        self.meter.note(**dict(zip(names, each, strict=True)))
        most, *others = norms.tolist()
        for (name, (value, _)), norm in zip(judged.items(), others, strict=True):
            terms[name] = self.weight(shares[name], moment, most, norm), value
        return terms

    def judged(
        self, batch: Batch, shared: Pass
    ) -> dict[str, tuple[Float[Tensor, " b"], Float[Tensor, "all c h w"]]]:
        """What the critic holds against the fakes, nats per image: adversarial, what it costs not
        to deceive it; features, how far those of reconstructions are from their images'. Each with
        its gradient at the decoder's outputs, of which `all` there are.

        The values carry these, so that the VAE's backward pass need not pass the critic.
        """
        output = torch.cat([*shared.fakes.values()])
        n, kinds = len(batch.image), len(shared.fakes)
        leaf = output.detach().requires_grad_()
        drawn = self.likelihood.mean(leaf)
        if self.apart:
            with torch.no_grad():
                of_images = self.critic.features(batch.image)
            of_fakes = self.critic.features(drawn)
        else:  # the real images keep the critic the function that it was when it learned
            said = self.critic.features(torch.cat([batch.image, drawn]))
            of_images, of_fakes = zip(*(x.split([n, kinds * n]) for x in said), strict=True)
        real = self.critic.verdict(of_images[-1])
        fakes = self.critic.verdict(of_fakes[-1]).chunk(kinds)
        against = (as_real(to_float32(x) - to_float32(real) if self.pairs else x) for x in fakes)
        values = {"adversarial": self.weighted(against)}
        if self.matching is not None and "reconstruction" in self.parts:
            again = [layer[:n] for layer in of_fakes]  # reconstructions come first
            values["features"] = mismatch(again, [layer.detach() for layer in of_images])
        found = {}
        for name, value in values.items():
            (gradient,) = torch.autograd.grad(value.sum(), leaf, retain_graph=True)
            of_image = (
                torch.cat([part.flatten(1) for part in x.chunk(kinds)], 1)
                for x in (output, gradient)
            )  # (b, kinds c h w) each
            found[name] = carrying(value, *of_image), gradient
        return found

    def weighted(self, values: Iterable[Logits]) -> Logits:
        """Their sum over the kinds of fakes, by weight."""
        return torch.stack([w * x for w, x in zip(self.parts.values(), values, strict=True)]).sum(0)

    def weight(
        self, balance: Schedule | None, moment: StepContext, distortion: float, other: float
    ) -> float:
        """w of this step, from both gradients' norms; a critic that says nothing has none."""
        if balance is None:
            return 1 / moment.global_batch
        if not other > 1e-8 * distortion:
            return 0.0
        return balance(moment.share) * distortion / other

    def gauges(self) -> dict[str, Tensor]:
        return self.meter.read()
