"""Adversarial losses and penalties against closed forms, at any logit."""

import math

import pytest
import torch
from torch import nn

from latentia.losses.adversarial import (
    NonSaturating,
    Relativistic,
    fake_bce,
    gradient_penalty,
    real_bce,
    with_known_gradient,
)

SHAPE = (2, 4, 3)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Linear(nn.Module):
    """A critic whose gradient is the same at every image."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(draw(math.prod(SHAPE), seed=3))

    def forward(self, image):
        return image.flatten(1) @ self.weight


def test_patches_are_images_of_their_own():
    """Their mean: a critic that repeats its logit at every place is a critic of images."""
    logits = draw(5)
    for loss in (real_bce, fake_bce):
        torch.testing.assert_close(loss(logits[:, None, None].expand(5, 3, 2)), loss(logits))
        patches = draw(5, 3, 2)
        each = torch.stack([loss(patches[:, i, j]) for i in range(3) for j in range(2)])
        torch.testing.assert_close(loss(patches), each.mean(0))


def test_losses_are_minus_log_probabilities():
    logits = draw(9)
    torch.testing.assert_close(real_bce(logits), -logits.sigmoid().log())
    torch.testing.assert_close(fake_bce(logits), -(1 - logits.sigmoid()).log())
    torch.testing.assert_close(fake_bce(logits) - real_bce(logits), logits)


@pytest.mark.parametrize("loss", [real_bce, fake_bce])
@pytest.mark.parametrize("logit", [20.0, -20.0, 80.0, -80.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_at_extreme_logits_are_those_of_the_logistic(loss, logit, dtype):
    """sigmoid, then logarithm, would clamp: loss 100 and gradient 0."""
    logits = torch.tensor([logit], dtype=dtype, requires_grad=True)
    value = loss(logits)
    value.sum().backward()
    wrong = -logit if loss is real_bce else logit
    sign = -1 if loss is real_bce else 1
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(max(wrong, 0.0) + math.log1p(math.exp(-abs(logit))))
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(sign / (1 + math.exp(-wrong)), rel=1e-2, abs=1e-8)


def test_the_relativistic_pair_is_logistic_regression_on_the_difference_and_symmetric():
    """Huang et al. 2024, equation 2: f(D(fake) - D(real)), and its mirror image."""
    real, fake = draw(7), draw(7, seed=1)
    loss = Relativistic()
    _, pair, _ = loss.critic_terms(real, fake)["pair"]
    torch.testing.assert_close(pair, -(real - fake).sigmoid().log())
    mirrored = loss.generator_loss(real, fake)
    torch.testing.assert_close(mirrored, loss.critic_terms(fake, real)["pair"][1])
    torch.testing.assert_close(loss.critic_terms(real + 5, fake + 5)["pair"][:2], (1.0, pair))


def test_the_generator_descends_its_own_side():
    """Its gradient raises the fake logits, the critic's lowers them."""
    for loss in (NonSaturating(), Relativistic()):
        real, fake = draw(5), draw(5, seed=1).requires_grad_()
        (up,) = torch.autograd.grad(loss.generator_loss(real, fake).sum(), fake)
        values = [value for _, value, _ in loss.critic_terms(real, fake).values()]
        (down,) = torch.autograd.grad(torch.stack(values).sum(), fake)
        assert (up < 0).all()
        assert (down > 0).all()


def test_the_slope_of_a_linear_critic_and_its_gradient_in_closed_form():
    critic, images = Linear(), draw(5, *SHAPE).requires_grad_()
    found = gradient_penalty(critic(images), images)
    expected = 0.5 * critic.weight.square().sum()
    torch.testing.assert_close(found, expected.expand(5))
    found.mean().backward()
    torch.testing.assert_close(critic.weight.grad, critic.weight.detach())


def test_the_slope_of_each_image_is_that_of_its_own_logit():
    """On a curved critic, against one backward pass an image."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    images = draw(5, *SHAPE).requires_grad_()
    found = gradient_penalty(critic(images).squeeze(1), images)
    for k in range(5):
        image = images[k : k + 1].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(image).sum(), image)
        torch.testing.assert_close(found[k], 0.5 * gradient.square().sum())


def test_a_carried_gradient_is_the_one_that_a_second_pass_would_have_found():
    critic = nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    direct, carried = (draw(5, *SHAPE).requires_grad_() for _ in range(2))
    value = real_bce(critic(direct * 2).squeeze(1))
    value.mean().backward()
    leaf = (carried * 2).detach().requires_grad_()
    own = real_bce(critic(leaf).squeeze(1))
    (gradient,) = torch.autograd.grad(own.sum(), leaf)
    result = with_known_gradient(own, [carried * 2], [gradient])
    assert torch.equal(result, own)
    result.mean().backward()
    torch.testing.assert_close(carried.grad, direct.grad)


@pytest.mark.parametrize("loss", [NonSaturating(), Relativistic()])
def test_values_are_float32_per_image_under_bfloat16(loss):
    real, fake = draw(5).bfloat16(), draw(5, seed=1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        terms = loss.critic_terms(real, fake)
        values = [value for _, value, _ in terms.values()] + [loss.generator_loss(real, fake)]
    assert {(value.dtype, value.shape) for value in values} == {(torch.float32, (5,))}
