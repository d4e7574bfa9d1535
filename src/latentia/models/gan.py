"""The generative adversarial network: Goodfellow et al. 2014, arXiv 1406.2661."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Model, Moment, Player, Terms
from latentia.core.schedules import Schedule
from latentia.core.seeding import noise, normal_rows
from latentia.core.tensors import wide
from latentia.losses.adversarial import NonSaturating, Relativistic, slope
from latentia.models.monitors import Gauges, share, spread

NAMES = (
    *("accuracy real", "accuracy fake", "critic loss"),
    *("gradient at image", "spread of samples"),
)


class GAN(Model):
    """The critic steps first; the generator learns against the critic that has just stepped.

    generator: latents to raw output; critic: images to logits. gamma weighs zero-centred penalties
    on the critic's gradient, R1 on real images and R2 on fakes, as a schedule over the run; None:
    no penalty. A step's fakes are made once, for both players.

    bounded: images are sigmoid(output). Else they are output + 1/2, cut to [0, 1] only when they
    are sampled: the sigmoid's flat ends hold what an early critic drives there, all black.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: NonSaturating | Relativistic,
        gamma: Schedule | None = None,
        bounded: bool = True,
    ):
        super().__init__()
        self.generator, self.critic, self.loss = generator, critic, loss
        self.gamma, self.bounded = gamma, bounded
        self.noise_shape: tuple[int, ...] = tuple(generator.latent_shape)  # pyright: ignore
        self.meter = Gauges(NAMES)

    def players(self) -> dict[str, Player]:
        return {
            "critic": Player(self.critic, self.critic_terms),
            "generator": Player(self.generator, self.generator_terms),
        }

    def shared(self, batch: Batch, moment: Moment) -> Float[Tensor, "b c h w"]:
        """The step's generated images, with their graph to the generator."""
        return self.draw(noise(moment, "generator", self.noise_shape, batch.image))

    def critic_terms(self, batch: Batch, moment: Moment, shared: Float[Tensor, "b c h w"]) -> Terms:
        penalised = self.gamma is not None
        real = batch.image.detach().requires_grad_(penalised)
        fake = shared.detach().requires_grad_(penalised)  # no gradient to the generator
        # apart, not in one batch: the penalties' gradients belong to one set each
        on_real, on_fake = self.critic(real), self.critic(fake)
        # a relativistic critic has no zero: its verdict is on which side of the middle a logit lies
        middle = (on_real.mean() + on_fake.mean()) / 2 if self.loss.relative else 0.0
        losses = self.loss.critic(on_real, on_fake)
        self.meter.note(
            accuracy_real=share(on_real > middle),
            accuracy_fake=share(on_fake < middle),
            critic_loss=torch.stack([*losses.values()]).sum(0).mean(),
            spread_of_samples=spread(fake) / spread(real).clamp_min(1e-12),
        )
        terms: Terms = {name: (1.0, value) for name, value in losses.items()}
        if self.gamma is not None:
            gamma = self.gamma(moment.share)
            terms["R1"] = (gamma, slope(on_real, real))
            terms["R2"] = (gamma, slope(on_fake, fake))
        return terms

    def generator_terms(
        self, batch: Batch, moment: Moment, shared: Float[Tensor, "b c h w"]
    ) -> Terms:
        if torch.is_grad_enabled():
            shared.register_hook(self._note_gradient)
        on_real = self.critic(batch.image) if self.loss.relative else None
        losses = self.loss.generator(on_real, self.critic(shared))
        return {name: (1.0, value) for name, value in losses.items()}

    def _note_gradient(self, gradient: Tensor) -> None:
        """Root mean square over images of |gradient of an image's loss at that image|."""
        each = (gradient * len(gradient)).flatten(1).double().square().sum(1)
        self.meter.note(gradient_at_image=each.mean().sqrt())

    def draw(self, z: Float[Tensor, "b *latent"]) -> Float[Tensor, "b c h w"]:
        """What the critic sees: in [0, 1] where `bounded`."""
        output = wide(self.generator(z))
        return output.sigmoid() if self.bounded else output + 0.5

    def sample(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None
    ) -> Float[Tensor, "n c h w"]:
        """n images drawn from N(0, I) latents."""
        z = normal_rows(n, self.noise_shape, seed=seed, purpose="prior")
        at = next(self.generator.parameters())
        return torch.cat([self.draw(part.to(at)) for part in z.split(256)]).clamp(0, 1)

    def gauges(self) -> dict[str, Tensor]:
        return self.meter.read()
