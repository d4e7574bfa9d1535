"""Divergences of the posterior from the prior, as terms whose weights beta multiplies.

A divergence that replaces the rate logs the rate too, at weight 0; its own terms are penalties.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.contract import Role, StepContext, Term, Terms
from latentia.core.distributed import all_reduce_sum, world_size
from latentia.core.gaussian import LOG_2PI
from latentia.core.posterior import Posterior, require_capability
from latentia.core.schedules import Schedule

# (posterior, a draw z of it, context) -> terms
Divergence = Callable[[Posterior, Tensor, StepContext], Terms]


def kl(posterior: Posterior, z: Tensor, context: StepContext) -> Terms:
    """The rate KL(q(z|x) || N(0, I)) in closed form."""
    return {"rate": Term(1.0, posterior.kl(), Role.KL)}


def log_rate(rate: Tensor) -> Terms:
    """The rate at weight 0, for the log."""
    return {"rate": Term(0.0, rate.detach(), Role.KL)}


@dataclass(frozen=True)
class KLDecomposition:
    """The rate as three weighted terms; Chen et al. 2018, arXiv 1802.04942, equation 2.

    They are the mutual information of image and latents, the total correlation
    KL(q(z) || prod q(z_j)), and the dimension-wise KL, sum_j KL(q(z_j) || N(0, 1)), where q(z) is
    the mean of the posteriors of all training images (see `log_aggregate_posterior`). Mutual
    information is the closed-form rate minus the other two estimates, so that the three sum to the
    rate exactly, and the weights (1, 1, 1) give the negative ELBO.
    """

    information_weight: float = 1.0
    correlation_weight: float = 6.0
    dimension_weight: float = 1.0

    def __call__(self, posterior: Posterior, z: Tensor, context: StepContext) -> Terms:
        rate = posterior.kl()
        log_q, log_q_per_dim = log_aggregate_posterior(posterior, z, context.train_size)
        log_prior = -0.5 * (z.square() + LOG_2PI).flatten(1).sum(1)
        correlation, dimensions = log_q - log_q_per_dim.sum(1), log_q_per_dim.sum(1) - log_prior
        information = rate - correlation - dimensions
        return {
            **log_rate(rate),
            "mutual information": Term(self.information_weight, information, Role.PENALTY),
            "total correlation": Term(self.correlation_weight, correlation, Role.PENALTY),
            "dimension-wise KL": Term(self.dimension_weight, dimensions, Role.PENALTY),
        }


def log_aggregate_posterior(
    posterior: Posterior, z: Float[Tensor, "b *latent"], train_size: int
) -> tuple[Float[Tensor, " b"], Float[Tensor, "b d"]]:
    """Estimate log q(z) and each log q(z_j), nats, at one draw z of each posterior.

    q is the equal mixture of n posteriors, of which this process's batch has b >= 2. The component
    of a draw has its exact weight 1 / n; the other b - 1 components share the rest equally. Before
    the logarithm the estimate is unbiased, and exact at b = n. It is the mean, over all orders of
    the batch, of the stratified estimate of Chen et al. 2018, appendix C. The logarithm lowers both
    (Jensen's inequality): total correlation is too low where posteriors overlap, too high where
    they are narrow. For n = 2000, b = 64, d = 10 and posteriors of width 1, 0.5 and 0.3 of the
    means' spread the error is -0.2 of 0.5, -0.45 of 2.1 and +0.3 of 5.1 nats
    (tests/losses/test_divergence.py).
    """
    logvar = require_capability(posterior, "logvar", "The total correlation of --divergence tc")
    mean, logvar, z = (x.flatten(1) for x in (posterior.mean, logvar, z))
    b = len(z)
    log_density = (z[:, None] - mean).square() * (-logvar).exp() + logvar + LOG_2PI
    log_density = -0.5 * log_density  # (b, b, d): draw, component, dimension
    weight = (train_size - 1) / (train_size * (b - 1))
    log_weight = torch.full_like(log_density[..., 0], math.log(weight))
    log_weight.fill_diagonal_(-math.log(train_size))
    log_q = (log_weight + log_density.sum(2)).logsumexp(1)
    return log_q, (log_weight[..., None] + log_density).logsumexp(1)


KERNEL_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the code of Tolstikhin et al. 2018


@dataclass(frozen=True)
class MMD:
    """Squared maximum mean discrepancy of q(z) and N(0, I), with a share of the rate.

    Zhao et al. 2019, arXiv 1706.02262, equation 6. Without the rate it is the divergence of the
    Wasserstein autoencoder, WAE-MMD: Tolstikhin et al. 2018, arXiv 1711.01558, algorithm 2.

    Parameters
    ----------
    weight : lambda, of the squared discrepancy
    rate_weight : 1 - alpha of Zhao et al.
    get_classes : returns the classes, one-hot, within which latents are compared with the prior;
        None: all latents together
    """

    weight: float = 1000.0
    rate_weight: float = 0.0
    get_classes: Callable[[], Tensor | None] = lambda: None

    def __call__(self, posterior: Posterior, z: Tensor, context: StepContext) -> Terms:
        rate = posterior.kl()
        terms = (
            {"rate": Term(self.rate_weight, rate, Role.KL)} if self.rate_weight else log_rate(rate)
        )
        return {**terms, "MMD": Term(self.weight, squared_mmd(z, self.get_classes()), Role.PENALTY)}


def squared_mmd(
    z: Float[Tensor, "b *latent"], classes: Float[Tensor, "b k"] | None = None
) -> Float[Tensor, " b"]:
    """Each draw's part of MMD(q(z), N(0, I))^2; the mean over independent draws is unbiased.

    With classes, the latents of each are compared with the prior, as in Louizos et al. 2016, arXiv
    1511.00830, so that no class can be read from them. A draw that is alone in its class has no
    part.

    The kernel is the mean of Gaussian kernels exp(-|z - z'|^2 / (2 v)) with v = d times the scales
    above. The pairs of q are those of this process's batch, without a draw and itself (Gretton et
    al. 2012, lemma 6); expectations over N(0, I) are exact.
    """
    z = z.flatten(1)
    (b, d), squares = z.shape, z.square().sum(1)
    distances = (z[:, None] - z).square().sum(2)
    is_pair = ~torch.eye(b, dtype=torch.bool, device=z.device)
    if classes is not None:
        is_pair &= classes @ classes.T > 0
    n_pairs, parts = is_pair.sum(1), []
    for v in (d * scale for scale in KERNEL_SCALES):
        pairs = ((-distances / (2 * v)).exp() * is_pair).sum(1) / n_pairs.clamp_min(1)
        cross = (v / (v + 1)) ** (d / 2) * (-squares / (2 * (v + 1))).exp()
        parts.append(pairs - 2 * cross + (v / (v + 2)) ** (d / 2))
    return torch.stack(parts).mean(0) * (n_pairs > 0)


@dataclass(frozen=True)
class Capacity:
    """gamma |mean rate of the batch - C|; Burgess et al. 2018, arXiv 1804.03599, equation 8.

    Parameters
    ----------
    target_rate : C in nats per image, a schedule over the run
    weight : gamma
    """

    target_rate: Schedule
    weight: float = 100.0

    def __call__(self, posterior: Posterior, z: Tensor, context: StepContext) -> Terms:
        rate = posterior.kl()
        gap = rate - context.number(lambda now: self.target_rate(now.progress))
        value = gap * all_reduce_sum(gap.detach().mean()).sign()
        return {**log_rate(rate), "gap to capacity": Term(self.weight, value, Role.PENALTY)}


@dataclass(frozen=True)
class FreeBits:
    """Free bits, sum_j max(lambda, batch mean of the rate of z_j), for single dimensions.

    Kingma et al. 2016, arXiv 1606.04934.

    Parameters
    ----------
    free_nats : lambda, the rate of a dimension in nats below which it costs nothing
    """

    free_nats: float

    def __call__(self, posterior: Posterior, z: Tensor, context: StepContext) -> Terms:
        kl_per_dim = require_capability(posterior, "kl_per_dim", "--free-bits")().flatten(1)
        batch_mean = all_reduce_sum(kl_per_dim.detach().mean(0)) / world_size()
        cost = torch.where(batch_mean > self.free_nats, kl_per_dim, self.free_nats)
        penalty = Term(1.0, cost.sum(1), Role.PENALTY)
        return {**log_rate(posterior.kl()), "rate beyond free bits": penalty}
