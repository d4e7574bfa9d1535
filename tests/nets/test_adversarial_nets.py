"""Critics and generators: published counts and stages, any size, and how they start."""

import pytest
import torch
from torch import nn

from latentia.core.errors import Error
from latentia.nets.critic import Critic, PatchCritic, ResidualCritic, SpectralPatchCritic
from latentia.nets.generator import DCGenerator, ResidualGenerator
from latentia.nets.initialization import init_glorot
from latentia.nets.vaegan import make_vaegan_networks

MNIST = (1, 28, 28)


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_mnist_dcgan_has_the_published_parameters_and_stages():
    critic, generator = Critic(MNIST, (64, 64), dropout=0.4), DCGenerator(100, MNIST)
    assert count(critic) == 40_705
    assert count(generator) == 1_164_289
    assert critic.blocks(torch.zeros(2, *MNIST)).shape == (2, 64, 7, 7)
    assert generator.bottom_shape == (128, 7, 7)
    assert sum(isinstance(m, nn.Dropout) for m in critic.modules()) == 2


def test_vaegan_has_the_published_parameters_and_stages():
    encoder, decoder, critic = make_vaegan_networks((1, 256, 256), 128)
    assert count(encoder.blocks) == 1_569_984
    assert count(encoder.heads) == 8_388_864
    assert count(decoder) == 5_804_833
    assert count(encoder, decoder) == 15_763_681
    assert count(critic) == 1_602_753
    assert decoder.bottom_shape == (512, 8, 8)
    slopes = {m.negative_slope for m in critic.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 48, 40), (2, 33, 70), (1, 9, 10)])
def test_vaegan_takes_any_size(shape):
    encoder, decoder, critic = (net.eval() for net in make_vaegan_networks(shape, 6))
    images = torch.rand(2, *shape)
    assert encoder(images).shape == (2, 12)
    assert decoder(torch.zeros(2, 6)).shape == images.shape
    assert critic(images).shape == (2,)


@pytest.mark.parametrize(
    ("side", "bottom"),
    [(256, (512, 8)), (128, (256, 8)), (64, (128, 8)), (28, (64, 7)), (9, (32, 5))],
)
def test_vaegan_halves_smaller_images_less_often(side, bottom):
    """2x2 maps of images of 64x64 hardly tell where a thing is: dev/NOTES.md, 2026-11-22."""
    channels, pixels = bottom
    encoder, decoder, critic = make_vaegan_networks((1, side, side), 6)
    assert decoder.bottom_shape == (channels, pixels, pixels)
    last = critic.features(torch.zeros(2, 1, side, side))[-1]
    assert last.shape[1:] == encoder.blocks(torch.zeros(2, 1, side, side)).shape[1:]
    assert last.shape[1:] == decoder.bottom_shape


def test_vaegan_refuses_what_it_cannot_halve():
    with pytest.raises(Error, match=r"8x64 are too small .* give --size 9 or more"):
        make_vaegan_networks((1, 8, 64), 6)


def test_a_critic_without_norms_judges_each_image_alone():
    critic = make_vaegan_networks((1, 32, 24), 6, critic_norm=None).critic
    images = torch.rand(3, 1, 32, 24)
    torch.testing.assert_close(critic(images)[:1], critic(images[:1]))
    assert 0.1 < critic(torch.rand(64, 1, 32, 24)).std() < 10  # He's: it neither dies nor shouts


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 40)])
def test_generators_and_critics_take_sizes_divisible_by_four(shape):
    for generator in (DCGenerator(5, shape, 8), ResidualGenerator(5, shape, (8, 4))):
        assert generator(torch.zeros(2, 5)).shape == (2, *shape)
    assert ResidualCritic(shape, (4, 8))(torch.zeros(2, *shape)).shape == (2,)


@pytest.mark.parametrize("generator", [DCGenerator, ResidualGenerator])
def test_other_sizes_are_refused_with_what_is_wanted(generator):
    with pytest.raises(Error, match=r"Images of 30x28 .* divisible by 4; give another --size"):
        generator(5, (1, 30, 28))


def test_a_patch_critic_judges_places_and_shows_what_each_block_says():
    critic, images = PatchCritic((2, 32, 24), (4, 8, 8)).double(), torch.rand(3, 2, 32, 24).double()
    logits = critic(images)
    assert logits.shape == (3, 4, 3)
    assert [f.shape[1:] for f in critic.features(images)] == [(4, 16, 12), (8, 8, 6), (8, 4, 3)]
    others = torch.cat([images[:1], torch.rand(4, 2, 32, 24).double()])
    torch.testing.assert_close(critic(others)[0], logits[0])  # of one image alone
    for norm in (m for m in critic.modules() if isinstance(m, nn.GroupNorm)):
        norm.forward = lambda x: x  # statistics of the image are another way to see far
    leaf = images.clone().requires_grad_()
    (seen,) = torch.autograd.grad(critic(leaf)[0, 0, 0], leaf)
    assert seen[0, :, -1, -1].abs().sum() == 0
    assert seen[0, :, 0, 0].abs().min() > 0


def test_glorot_is_uniform_of_its_variance_with_zero_bias():
    generator = init_glorot(DCGenerator(100, MNIST))
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            space = layer.weight[0, 0].numel()
            fans = space * (layer.weight.shape[0] + layer.weight.shape[1])
            assert layer.weight.var().item() == pytest.approx(2 / fans, rel=0.1)
            assert layer.weight.abs().max().item() <= (6 / fans) ** 0.5
            assert not layer.bias.any()  # pyright: ignore


def test_residual_branches_start_at_zero():
    critic = ResidualCritic(MNIST, (4, 8))
    images = torch.rand(3, *MNIST)
    whole = critic(images)
    for module in critic.modules():
        if hasattr(module, "branch"):
            module.branch = Zero()  # pyright: ignore
    torch.testing.assert_close(critic(images), whole)


class Zero(nn.Module):
    def forward(self, x):
        return torch.zeros_like(x)


@pytest.mark.parametrize("critic", [Critic(MNIST), ResidualCritic(MNIST)])
def test_a_norm_free_critic_judges_each_image_by_itself(critic):
    """With BatchNorm a batch of one label reveals it (pitfall: BatchNorm in a discriminator)."""
    images = torch.rand(6, *MNIST)
    alone = torch.cat([critic(images[k : k + 1]) for k in range(6)])
    torch.testing.assert_close(critic(images), alone, atol=1e-5, rtol=1e-5)


def test_weights_of_a_spectral_critic_have_norm_1_and_a_logit_sees_20_pixels():
    critic = SpectralPatchCritic((2, 40, 40), (4, 6, 8)).double()
    images = torch.rand(3, 2, 40, 40, dtype=torch.float64, requires_grad=True)
    for _ in range(200):  # each forward pass in training is a step of the power iteration
        logits = critic(images)
    assert logits.shape == (3, 10, 10)
    weights = [layer.weight for layer in critic.blocks if isinstance(layer, torch.nn.Conv2d)]
    norms = torch.stack([torch.linalg.matrix_norm(weight.flatten(1), 2) for weight in weights])
    torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-4, atol=0)
    logits[1, 5, 5].backward()
    assert images.grad is not None
    assert not images.grad[[0, 2]].any()
    rows, columns = images.grad[1].abs().sum(0).nonzero().T
    for side in (rows, columns):
        assert side.max() - side.min() == 19
