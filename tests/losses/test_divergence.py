"""What stands in the rate's place: against exact mixtures, closed forms and the wrong formulas."""

import itertools
import math

import pytest
import torch

from latentia.core.contract import StepContext
from latentia.core.gaussian import LOG_2PI, DiagonalGaussian
from latentia.core.schedules import constant, linear
from latentia.losses.divergences import (
    KERNEL_SCALES,
    MMD,
    Capacity,
    FreeBits,
    KLDecomposition,
    kl,
    log_aggregate_posterior,
    squared_mmd,
)

NAMES = ("mutual information", "total correlation", "dimension-wise KL")


def mixture(n, d, sd, seed=0):
    """n posteriors whose means are correlated across dimensions, each of unit spread."""
    draw = torch.Generator().manual_seed(seed)
    mix = torch.eye(d, dtype=torch.float64) + torch.randn(d, d, generator=draw).double()
    mean = torch.randn(n, d, generator=draw).double() @ mix
    mean /= mean.std(0)
    spread = torch.rand(n, d, generator=draw).double() - 0.5
    return DiagonalGaussian(mean, 2 * math.log(sd) + 0.2 * spread)


def moment(n, b):
    return StepContext(0, 10, 0, n, 0, b)


def each_of(q, z):
    """(draws, components, d)."""
    return -0.5 * ((z[:, None] - q.mean).square() / q.logvar.exp() + q.logvar + LOG_2PI)


def aggregate(each, weight):
    return (weight + each.sum(2)).logsumexp(1), (weight[..., None] + each).logsumexp(1)


def exact(q, z):
    each = each_of(q, z)
    return aggregate(each, torch.full_like(each[..., 0], -math.log(len(q.mean))))


def weighted_sampling(q, z, n):
    """Every component 1 / (n b): the published minibatch weighted sampling."""
    each = each_of(q, z)
    return aggregate(each, torch.full_like(each[..., 0], -math.log(n * len(z))))


def column_for_diagonal(q, z, n):
    """Stratified weights laid with a stride of the batch: the own component's in column 0."""
    each, b = each_of(q, z), len(z)
    weight = torch.full_like(each[..., 0], 1 / (b - 1))
    weight[:, 0], weight[:, 1] = 1 / n, (n - b + 1) / (n * (b - 1))
    weight[b - 2, 0] = weight[0, 1]
    return aggregate(each, weight.log())


def weight_in_each_dimension(q, z, n):
    """The right weights, added before the sum over dimensions."""
    each, b = each_of(q, z), len(z)
    weight = torch.full_like(each[..., 0], math.log((n - 1) / (n * (b - 1))))
    weight.fill_diagonal_(-math.log(n))
    return (weight[..., None] + each).sum(2).logsumexp(1), aggregate(each, weight)[1]


WRONG = (weighted_sampling, column_for_diagonal, weight_in_each_dimension)


def unbiased(estimate, n=6, b=4, d=2):
    """Relative errors of E q(z) and E q(z_j) over every batch that holds the draw's own row."""
    q = mixture(n, d, 0.7)
    draw = q.sample(torch.randn(n, d, generator=torch.Generator().manual_seed(1)).double())
    whole = exact(q, draw)
    sums = [torch.zeros_like(part) for part in whole]
    for rows in map(list, itertools.combinations(range(n), b)):
        found = estimate(DiagonalGaussian(q.mean[rows], q.logvar[rows]), draw[rows], n)
        for total, part in zip(sums, found, strict=True):
            total[rows] += part.exp() / math.comb(n - 1, b - 1)
    return [(s / w.exp() - 1).abs().max().item() for s, w in zip(sums, whole, strict=True)]


def test_the_aggregate_is_unbiased_before_the_logarithm():
    """The mean over every batch there is, not a simulation; the three known errors are far off."""
    assert max(unbiased(log_aggregate_posterior)) < 1e-12
    for wrong in WRONG:
        assert max(unbiased(wrong)) > 0.1, wrong


def test_the_whole_data_set_as_one_batch_is_exact():
    q = mixture(50, 4, 0.5)
    z = q.sample(torch.randn(50, 4, generator=torch.Generator().manual_seed(1)).double())
    for found, wanted in zip(log_aggregate_posterior(q, z, 50), exact(q, z), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def correlations(estimate, q, n, b, batches=20):
    """Mean total correlation of `estimate`, and exact, of the same draws."""
    draw, found, wanted = torch.Generator().manual_seed(2), [], []
    for _ in range(batches):
        rows = torch.randperm(n, generator=draw)[:b]
        own = DiagonalGaussian(q.mean[rows], q.logvar[rows])
        z = own.sample(torch.randn(own.mean.shape, generator=draw, dtype=torch.float64))
        for told, (joint, apart) in ((found, estimate(own, z, n)), (wanted, exact(q, z))):
            told.append((joint - apart.sum(1)).mean())
    return torch.stack(found).mean().item(), torch.stack(wanted).mean().item()


@pytest.mark.parametrize(
    ("sd", "wanted", "bias"), [(0.3, 5.1, 0.3), (0.5, 2.1, -0.45), (1, 0.5, -0.2)]
)
def test_total_correlation_has_the_stated_bias(sd, wanted, bias):
    """2,000 posteriors, batches of 64, 10 dimensions: the bias that the docstring states.

    Pitfall: Total correlation from a minibatch.
    """
    found, exactly = correlations(log_aggregate_posterior, mixture(2000, 10, sd), 2000, 64)
    assert exactly == pytest.approx(wanted, abs=0.2)
    assert found - exactly == pytest.approx(bias, abs=0.15)


def test_the_known_errors_are_far_from_total_correlation_where_ours_is_near():
    q = mixture(2000, 10, 0.3)
    found, *wrong = (
        correlations(each, q, 2000, 64, 5) for each in (log_aggregate_posterior, *WRONG)
    )
    assert abs(found[0] - found[1]) < 0.6
    assert all(abs(told - exactly) > 2.5 for told, exactly in wrong)  # 76, 8.0 and -48 for 5.1


def batch(b=8, d=3, dtype=torch.float64):
    q = mixture(b, d, 0.6)
    q = DiagonalGaussian(*(part.to(dtype).requires_grad_() for part in q))
    return q, q.sample(torch.randn(b, d, generator=torch.Generator().manual_seed(3), dtype=dtype))


def objective(terms):
    return sum(weight * value.mean() for weight, value, _ in terms.values())


def test_the_three_parts_sum_to_the_rate_and_at_weight_1_teach_the_same():
    q, z = batch()
    terms = KLDecomposition(1, 1, 1)(q, z, moment(100, 8))
    assert list(terms) == ["rate", *NAMES]
    torch.testing.assert_close(sum(terms[name][1] for name in NAMES), q.kl())
    gradients = [
        torch.autograd.grad(objective(each), [q.mean, q.logvar], retain_graph=True)
        for each in (terms, kl(q, z, moment(100, 8)))
    ]
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-12, rtol=1e-9)
    weighted = KLDecomposition(2.0, 3.0, 4.0)(q, z, moment(100, 8))
    assert [weighted[name][0] for name in NAMES] == [2.0, 3.0, 4.0]


def test_each_part_is_what_its_name_says_within_its_standard_error():
    """Against the single-sample integrands under the exact q(z) of the whole data set."""
    q = mixture(400, 3, 0.5)
    z = q.sample(torch.randn(400, 3, generator=torch.Generator().manual_seed(4)).double())
    joint, apart = exact(q, z)
    prior = -0.5 * (z.square() + LOG_2PI).sum(1)
    wanted = q.log_prob(z) - joint, joint - apart.sum(1), apart.sum(1) - prior
    terms = KLDecomposition()(q, z, moment(400, 400))
    for name, single in zip(NAMES, wanted, strict=True):
        difference = terms[name][1] - single
        error = difference.std() / 20
        assert difference.mean().abs() < 4 * error + 1e-9, name


def test_a_map_of_latents_is_taken_dimension_by_dimension():
    q, z = batch(8, 12)
    maps = DiagonalGaussian(*(part.view(8, 3, 2, 2) for part in q))
    found = log_aggregate_posterior(maps, z.view(8, 3, 2, 2), 99)
    assert all(map(torch.equal, found, log_aggregate_posterior(q, z, 99)))


ALL = [kl, KLDecomposition(), Capacity(constant(2.0)), FreeBits(0.3), MMD()]


@pytest.mark.parametrize("divergence", ALL)
def test_terms_are_float32_nats_per_image_and_the_rate_is_always_among_them(divergence):
    q, z = batch(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        terms = divergence(q, z, moment(100, 8))
    torch.testing.assert_close(terms["rate"][1], q.kl())
    assert {value.dtype for _, value, _ in terms.values()} == {torch.float32}
    assert {value.shape for _, value, _ in terms.values()} == {(8,)}
    weight, rate, _ = terms["rate"]
    assert (weight, rate.requires_grad) == ((1, True) if divergence is kl else (0, False))


@pytest.mark.parametrize("nats", [0.0, 1.0, 50.0])
def test_capacity_is_the_distance_of_the_batchs_mean_rate(nats):
    q, z = batch()
    rate = q.kl().mean()
    held = Capacity(constant(nats), 7.0)(q, z, moment(100, 8))
    assert objective(held).item() == pytest.approx(7 * abs(rate.item() - nats))
    ours, plain = (
        torch.autograd.grad(v, q.mean, retain_graph=True)[0] for v in (objective(held), rate)
    )
    torch.testing.assert_close(ours, 7 * plain * (1 if rate > nats else -1))


def test_capacity_grows_by_the_share_of_the_run():
    q, z = batch()
    held = Capacity(linear(0.0, 100.0), 1.0)
    gaps = [objective(held(q, z, moment(100, 8)._replace(step=step))).item() for step in (5, 10)]
    assert gaps[1] - gaps[0] == pytest.approx(50)


def test_free_bits_charge_only_dimensions_whose_mean_rate_is_above_them():
    q, z = batch(32, 5)
    each = q.kl_per_dim().mean(0)
    free = each.sort().values[1:3].mean().item()  # two dimensions below, three above
    terms = FreeBits(free)(q, z, moment(100, 32))
    assert objective(terms).item() == pytest.approx(each.clamp_min(free).sum().item())
    (gradient,) = torch.autograd.grad(objective(terms), q.logvar)
    assert ((gradient.abs().sum(0) > 0) == (each > free)).all()


def kernel(x, y):
    """Mean of the Gaussian kernels of all pairs (n, m), term by term."""
    squares, d = torch.cdist(x, y).square(), x.shape[1]
    return sum((-squares / (2 * d * s)).exp() for s in KERNEL_SCALES) / len(KERNEL_SCALES)


def exact_mmd(mean, sd, d):
    """MMD^2 of N(mean, sd^2 I) and N(0, I): for one kernel, E exp(-|D|^2 / 2v) of D normal."""
    total = 0.0
    for scale in KERNEL_SCALES:
        v, parts = d * scale, []
        for variance, shift in ((2 * sd**2, 0.0), (1 + sd**2, mean), (2.0, 0.0)):
            width = v + variance
            parts.append((v / width) ** (d / 2) * math.exp(-d * shift**2 / (2 * width)))
        total += parts[0] - 2 * parts[1] + parts[2]
    return total / len(KERNEL_SCALES)


def batches_of_mmd(mean, sd, d, b, n=1000):
    draw = torch.Generator().manual_seed(0)
    z = mean + sd * torch.randn(n, b, d, generator=draw, dtype=torch.float64)
    return torch.stack([squared_mmd(each).mean() for each in z])


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.5, 0.6)])
@pytest.mark.parametrize("b", [2, 16])
def test_the_squared_discrepancy_is_unbiased_and_zero_for_the_prior_itself(mean, sd, b):
    found, wanted = batches_of_mmd(mean, sd, 3, b), exact_mmd(mean, sd, 3)
    assert abs(found.mean() - wanted) < 4 * found.std() / len(found) ** 0.5
    assert (wanted == pytest.approx(0, abs=1e-12)) == (mean == 0)
    if mean == 0:
        assert (found < 0).any()  # what no biased estimate is


def test_expectations_over_the_prior_are_those_of_draws():
    draw = torch.Generator().manual_seed(1)
    z, prior = (torch.randn(n, 2, generator=draw).double() for n in (5, 200_000))
    ours = squared_mmd(z)
    cross = kernel(z, prior)
    pairs = (kernel(z, z).sum(1) - 1) / 4
    within = kernel(prior[:2000], prior[2000:4000]).mean()
    error = 2 * cross.std(1) / len(prior) ** 0.5
    difference = ours - (pairs - 2 * cross.mean(1) + within)
    assert (difference.abs() < 4 * error + 0.01).all()


def test_the_gradient_of_the_discrepancy_moves_latents_to_the_prior():
    z = 3 + 0.1 * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    z = z.requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        squared_mmd(z).mean().backward()
        optimizer.step()
    assert z.mean(0).abs().max() < 0.6  # of 3
    assert squared_mmd(z).mean() < 0.001


def test_the_rate_has_its_own_weight_beside_the_discrepancy():
    q, z = batch()
    terms = MMD(10.0, 0.2)(q, z, moment(100, 8))
    expected = 0.2 * q.kl().mean() + 10 * squared_mmd(z).mean()
    torch.testing.assert_close(objective(terms), expected)
    torch.testing.assert_close(squared_mmd(z.view(8, -1, 1)), squared_mmd(z))


def test_latents_of_each_class_are_compared_with_the_prior_as_if_alone():
    draw = torch.Generator().manual_seed(2)
    z = torch.randn(12, 3, generator=draw).double()
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 1, 3])
    parts = squared_mmd(z, torch.nn.functional.one_hot(labels).double())
    for label in range(3):
        torch.testing.assert_close(parts[labels == label], squared_mmd(z[labels == label]))
    assert parts[11] == 0  # alone in its class
    together = squared_mmd(z)
    torch.testing.assert_close(squared_mmd(z, torch.ones(12, 1).double()), together)
    assert not torch.allclose(parts, together, rtol=0.01)


def test_classes_at_other_places_have_a_discrepancy_though_all_latents_together_have_none():
    draw = torch.Generator().manual_seed(3)
    z = torch.randn(400, 2, generator=draw).double()
    classes = torch.nn.functional.one_hot((z[:, 0] > 0).long()).double()
    assert squared_mmd(z).mean().abs() < 0.003
    assert squared_mmd(z, classes).mean() > 0.05
