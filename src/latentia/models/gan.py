"""The generative adversarial network: Goodfellow et al. 2014, arXiv 1406.2661."""

import torch
from torch import Tensor, nn

from latentia.core.contract import Batch, Player, Role, StepContext, Term, Terms
from latentia.core.schedules import Schedule
from latentia.core.seeding import noise, sample_normal_rows
from latentia.core.tensors import ImageTensor, Latents, to_float32, to_float64
from latentia.losses.adversarial import NonSaturating, Relativistic, gradient_penalty
from latentia.models.augmentation import Augmentation
from latentia.models.conditional import ConditionalModel
from latentia.models.monitors import Monitors, fraction_true, rms_std
from latentia.nets.column_condition import decode_latents, with_columns

MONITOR_NAMES = (
    *("accuracy real", "accuracy fake", "critic loss"),
    *("gradient at image", "spread of samples"),
)


class GAN(ConditionalModel):
    """Generative adversarial network; the critic steps first, then the generator.

    Both players of a step use the same generated images.

    Parameters
    ----------
    generator : nn.Module
        latents to raw outputs (b, c, h, w), with `latent_shape`
    critic : nn.Module
        images to logits
    loss : NonSaturating or Relativistic
        the adversarial loss
    gamma : callable, optional
        weight of R1 on real images and of R2 on fakes (see `gradient_penalty`), a schedule over the
        run; None means no penalty
    sigmoid_output : bool
        whether images are sigmoid(output). Otherwise they are output + 1/2, clipped only in
        `sample`: the sigmoid's vanishing gradient can trap a generator at black images

    Examples
    --------
    >>> import latentia
    >>> from latentia.losses.adversarial import NonSaturating
    >>> from latentia.nets.critic import Critic
    >>> from latentia.nets.generator import DCGenerator
    >>> nets = DCGenerator(4, (1, 8, 8), channels=8), Critic((1, 8, 8), channels=(8, 8))
    >>> latentia.GAN(*nets, NonSaturating()).sample(2).shape
    torch.Size([2, 1, 8, 8])
    """

    conditioned = ("generator", "critic")

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: NonSaturating | Relativistic,
        gamma: Schedule | None = None,
        sigmoid_output: bool = True,
    ):
        super().__init__()
        self.generator, self.critic, self.loss = generator, critic, loss
        self.gamma, self.sigmoid_output = gamma, sigmoid_output
        self.latent_shape: tuple[int, ...] = tuple(generator.latent_shape)  # pyright: ignore
        self.meter, self.augment = Monitors(MONITOR_NAMES), Augmentation()

    def players(self) -> dict[str, Player]:
        return {
            "critic": Player(self.critic, self.critic_terms),
            "generator": Player(self.generator, self.generator_terms),
        }

    @with_columns
    def shared(self, batch: Batch, context: StepContext) -> ImageTensor:
        """Generate the step's images, with their graph to the generator."""
        return self.generate(noise(context, "generator", self.latent_shape, batch.image))

    @with_columns
    def critic_terms(self, batch: Batch, context: StepContext, shared: ImageTensor) -> Terms:
        uses_penalty = self.gamma is not None
        real = self.augment(batch.image, context).detach().requires_grad_(uses_penalty)
        fake = self.augment(shared.detach(), context)  # no gradient to the generator
        fake = fake.detach().requires_grad_(uses_penalty)
        # two batches, since each penalty differentiates the logits of one of them
        real_logits, fake_logits = self.critic(real), self.critic(fake)
        # relativistic logits have no zero, so the midpoint of the means is the threshold
        middle = (real_logits.mean() + fake_logits.mean()) / 2 if self.loss.relativistic else 0.0
        terms = self.loss.critic_terms(real_logits, fake_logits)
        self.meter.record(
            accuracy_real=fraction_true(real_logits > middle),
            accuracy_fake=fraction_true(fake_logits < middle),
            critic_loss=torch.stack([term.value for term in terms.values()]).sum(0).mean(),
            spread_of_samples=rms_std(fake) / rms_std(real).clamp_min(1e-12),
        )
        if self.gamma is not None:
            gamma = context.number(lambda now: self.gamma(now.progress))  # pyright: ignore
            terms["R1"] = Term(gamma, gradient_penalty(real_logits, real), Role.PENALTY)
            terms["R2"] = Term(gamma, gradient_penalty(fake_logits, fake), Role.PENALTY)
        return terms

    @with_columns
    def generator_terms(self, batch: Batch, context: StepContext, shared: ImageTensor) -> Terms:
        if torch.is_grad_enabled():
            shared.register_hook(self._record_gradient_norm)
        is_relativistic = self.loss.relativistic
        real_logits = self.critic(self.augment(batch.image, context)) if is_relativistic else None
        fake_logits = self.critic(self.augment(shared, context))
        loss = self.loss.generator_loss(real_logits, fake_logits)
        return {"adversarial": Term(1.0, loss, Role.ADVERSARIAL)}

    def _record_gradient_norm(self, gradient: Tensor) -> None:
        """Record the root mean square over images of |d loss / d image|."""
        squared_norms = to_float64(gradient * len(gradient)).flatten(1).square().sum(1)
        self.meter.record(gradient_at_image=squared_norms.mean().sqrt())

    def generate(self, z: Latents) -> ImageTensor:
        """Generate the images that the critic sees; in [0, 1] only with `sigmoid_output`."""
        with self.use_target():
            output = to_float32(self.generator(z))
        return output.sigmoid() if self.sigmoid_output else output + 0.5

    def decode(self, z: Latents) -> ImageTensor:
        """Generate images in [0, 1]."""
        return self.generate(z.to(next(self.generator.parameters()))).clamp(0, 1)

    def draw_latents(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None, temperature: float = 1.0
    ) -> Latents:
        """Return the latents that `sample` decodes."""
        return temperature * sample_normal_rows(n, self.latent_shape, seed=seed, purpose="prior")

    def sample(
        self, n: int, *, seed: int = 0, cond: Tensor | None = None, temperature: float = 1.0
    ) -> ImageTensor:
        """Draw n images from N(0, I) latents.

        cond: label of each image, or of all; by default as often as in the training images.
        temperature: factor of the standard deviations.
        """
        with self.use_labels(n, seed, cond):
            return decode_latents(self, self.draw_latents(n, seed=seed, temperature=temperature))

    def monitors(self) -> dict[str, Tensor]:
        return self.meter.read_means()
