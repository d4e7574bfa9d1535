"""Toy adversarial models, and the reference that the engine's step is held to."""

import copy
import math
from functools import partial

import torch
from torch import nn

from latentia.core.contract import Batch, StepContext
from latentia.core.schedules import constant
from latentia.core.seeding import seed_global_generators
from latentia.losses.adversarial import NonSaturating, Relativistic
from latentia.losses.likelihoods import Gaussian, SymmetricGaussian
from latentia.models.gan import GAN
from latentia.models.vaegan import VAEGAN, PublishedObjective, RelativisticObjective
from latentia.nets.autoencoder import Architecture, Decoder, Encoder
from latentia.nets.conv import ConvDecoder, ConvEncoder
from latentia.nets.critic import Critic, PatchCritic, ResidualCritic
from latentia.nets.film import Modulation
from latentia.nets.generator import DCGenerator, ResidualGenerator
from latentia.nets.initialization import init_glorot, init_he
from latentia.nets.label_effect import LabelEffect
from latentia.nets.vaegan import BATCH_STATISTICS_NORM
from latentia.training.optimizers import Adam
from latentia.training.step import PlayerStep

SHAPE = (1, 8, 12)


def dcgan():
    torch.manual_seed(0)
    generator = init_glorot(DCGenerator(5, SHAPE, channels=4))
    return GAN(generator, init_glorot(Critic(SHAPE, (4, 4), dropout=0.4)), NonSaturating())


def modern():
    torch.manual_seed(0)
    nets = ResidualGenerator(5, SHAPE, (8, 4)), ResidualCritic(SHAPE, (4, 8))
    for parameter in nets[0].parameters():  # away from fixup's zeros, where some gradients vanish
        nn.init.normal_(parameter, std=0.2)
    for parameter in nets[1].parameters():
        nn.init.normal_(parameter, std=0.2)
    return GAN(*nets, Relativistic(), constant(0.7), sigmoid_output=False)


def published_vae():
    wide = {"slope": 0.01, "norm": nn.BatchNorm2d}
    encoder = ConvEncoder(SHAPE, 3, (4, 8), **wide)
    return encoder, ConvDecoder(3, SHAPE, (4, 8), (4, 4), **wide), Gaussian(math.sqrt(0.5))


def vaegan(gradient_ratio: float | None = 0.5):
    torch.manual_seed(0)
    return VAEGAN(
        *published_vae(),
        Critic(SHAPE, (4, 8), norm=BATCH_STATISTICS_NORM),
        PublishedObjective(None if gradient_ratio is None else constant(gradient_ratio)),
        constant(0.3),
    )


def patches(feature_matching: float = 0.5):
    """As `image_autoencoder` has it: latents that are maps, a critic of patches, its features."""
    torch.manual_seed(0)
    plan = Architecture((4, 4, 8), latent_channels=2, layers_per_block=1, norm_groups=2)
    critic = PatchCritic(SHAPE, (4, 8))
    return VAEGAN(
        Encoder(SHAPE, plan),
        Decoder(SHAPE, plan),
        SymmetricGaussian("learned"),
        critic,
        PublishedObjective(constant(0.5), constant(feature_matching), reconstruction_weight=1.0),
        constant(0.3),
    )


def paired(critic=None, reconstruction_weight=1.0, **parameters):
    """As `vaegan` has it: pairs of an image and its reconstruction, penalties, the features."""
    torch.manual_seed(0)
    return VAEGAN(
        *published_vae(),
        critic or init_he(Critic(SHAPE, (4, 8)), 0.2),
        RelativisticObjective(
            constant(0.5), constant(0.5), reconstruction_weight, gamma=0.1, **parameters
        ),
        constant(0.3),
    )


MODELS = {"dcgan": dcgan, "modern": modern, "vaegan": vaegan, "published": partial(vaegan, None)}
MODELS |= {"patches": patches, "paired": paired}


def batch(n=6, dtype=torch.float64, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return Batch(torch.rand(n, *SHAPE, generator=draw, dtype=dtype), {})


def moment(step=0, total=10, n=6):
    return StepContext(step, total, 0, 100, 0, n)


def engine_step(model, images, when, lr=0.01):
    """One step of every player as the engine takes it; SGD, so that an update is a gradient."""
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=False)
    shared = model.shared(images, when)
    for name, player in model.players().items():
        optimizer = torch.optim.SGD(player.module.parameters(), lr=lr)
        turn = PlayerStep(name, player, images, when, shared, autocast)
        turn.optimizer_step(model, optimizer, Adam(lr))


def isolated_update(model, name, images, when, lr=0.01):
    """A player's update from its own terms alone, in a copy of the model as it is now."""
    model = copy.deepcopy(model)
    player = model.players()[name]
    shared = model.shared(images, when)
    seed_global_generators(when.seed, f"dropout/{name}", when.step)
    terms = player.terms(images, when, shared)
    loss = sum(weight * value.mean() for weight, value, _ in terms.values())
    parameters = dict(player.module.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))  # pyright: ignore
    return {k: -lr * g for k, g in zip(parameters, gradients, strict=True)}


def check_step(model, images, when, may_rest=lambda key: True):
    """Take a step, and compare each player's update with that of its own terms alone.

    Every update is checked at the parameters that the player saw. may_rest: whether the update of
    a parameter may be 0.
    """
    reference = copy.deepcopy(model)
    before = {k: weights(player) for k, player in model.players().items()}
    engine_step(model, images, when)
    for k, player in reference.players().items():
        expected, after = isolated_update(reference, k, images, when), weights(model.players()[k])
        assert expected
        for key, update in expected.items():
            assert update.abs().sum() > 0 or may_rest(key), key
            torch.testing.assert_close(after[key] - before[k][key], update, atol=1e-9, rtol=0)
        with torch.no_grad():
            for key, parameter in player.module.named_parameters():
                parameter.add_(expected[key])


def shake_modulations(model):
    """Give the labels an effect: the layers that read them begin at 0."""
    draw = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, Modulation):
            weight = module.film.linear.weight
            weight.data = 0.03 * torch.randn(weight.shape, generator=draw)
        elif isinstance(module, LabelEffect):
            module.table.data = 0.03 * torch.randn(module.table.shape, generator=draw)


def weights(player):
    return {k: v.detach().clone() for k, v in player.module.named_parameters()}
