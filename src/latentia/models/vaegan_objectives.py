"""Adversarial objectives of the VAE-GAN: as published, and relativistic with gradient penalties."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from latentia.core.contract import Moment
from latentia.core.schedules import Schedule, constant
from latentia.losses.adversarial import NonSaturating, Relativistic

LAZY_INTERVAL = 4  # critic steps from one gradient penalty to the next


@dataclass(frozen=True, kw_only=True)
class AdversarialObjective:
    """The adversarial part of a VAE-GAN's loss, L_distortion + beta * L_rate + w * L_adversarial.

    Parameters
    ----------
    gradient_ratio : norm of the adversarial gradient over the norm of the distortion's gradient,
        a schedule over the run. It sets w at each step (Esser et al. 2021, arXiv 2012.09841,
        equation 7). Both gradients are taken over the whole batch, and at the decoder's output,
        where one short backward pass through the critic gives them. While it is 0 the critic
        rests. None: w is 1 / batch for each image, as published, which hardly moves the decoder.
    feature_matching : the same ratio for the feature matching loss of reconstructions, which is
        present while the critic acts. None: no such loss.
    reconstruction_weight : weight of reconstructions among the fakes, in [0, 1]; samples of the
        prior have the rest. The VAE does not compute a kind of weight 0 for its loss.
    """

    gradient_ratio: Schedule | None = None
    feature_matching: Schedule | None = None
    reconstruction_weight: float = 0.5
    loss_type: ClassVar[type[NonSaturating] | type[Relativistic]]

    @cached_property
    def loss(self) -> NonSaturating | Relativistic:
        share = self.reconstruction_weight
        weights = {"reconstruction": share, "sample": 1 - share}
        return self.loss_type({kind: weight for kind, weight in weights.items() if weight})

    def is_active(self, moment: Moment) -> bool:
        """Whether the critic acts at this step."""
        return self.gradient_ratio is None or self.gradient_ratio(moment.share) != 0

    def is_lazy_step(self, moment: Moment) -> bool:
        """Whether the critic also computes what few of its steps need: penalties, sample gauges."""
        return False

    def penalty_weight(self, moment: Moment) -> float:
        """Weight of R1 and R2 at this step."""
        return 0.0

    def term_weight(
        self, term: str, moment: Moment, distortion_norm: float, norm: float
    ) -> float:
        """Weight of an adversarial term, from the norms of the distortion's and its gradient."""
        ratio = {"adversarial": self.gradient_ratio, "features": self.feature_matching}[term]
        if ratio is None:
            return 1 / moment.global_batch
        if not norm > 1e-8 * distortion_norm:  # a constant critic has no gradient
            return 0.0
        return ratio(moment.share) * distortion_norm / norm


class PublishedObjective(AdversarialObjective):
    """Binary cross-entropy of each image: Larsen et al. 2016, arXiv 1512.09300, equation 1.

    The critic tells real images from reconstructions and from samples of the prior.
    """

    loss_type = NonSaturating


@dataclass(frozen=True, kw_only=True)
class RelativisticObjective(AdversarialObjective):
    """Relativistic pairs of an image and its own fake, with R1 and R2; Huang et al. 2024.

    The critic of this objective must not contain BatchNorm.

    Parameters
    ----------
    critic_interval : steps from one to the next in which the critic steps and the VAE's loss has
        adversarial terms
    gamma : weight of R1 on real images and of R2 on fakes (see `gradient_penalty`); 0: no penalty.
        Every fourth step of the critic has the penalty, with four times the weight (lazy
        regularisation: Karras et al. 2020, arXiv 1912.04958, appendix B).
    """

    gradient_ratio: Schedule = constant(0.5)
    reconstruction_weight: float = 1.0
    critic_interval: int = 1
    gamma: float = 0.0
    loss_type = Relativistic

    def is_active(self, moment: Moment) -> bool:
        return super().is_active(moment) and not moment.step % self.critic_interval

    def is_lazy_step(self, moment: Moment) -> bool:
        return not moment.step // self.critic_interval % LAZY_INTERVAL

    def penalty_weight(self, moment: Moment) -> float:
        return LAZY_INTERVAL * self.gamma if self.is_lazy_step(moment) else 0.0
