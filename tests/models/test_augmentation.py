"""Augmentation: what the transformations are, who sees them, and that its randomness is keyed."""

import pytest
import torch
from duels import MODELS, batch, check_step, moment

from latentia.core.contract import StepContext
from latentia.models.augmentation import TRANSFORMATIONS, Augmentation, colour, rotate, shift

NAMES = list(TRANSFORMATIONS)
draw = torch.Generator().manual_seed(0)
IMAGES = torch.rand(6, 3, 16, 16, generator=draw, dtype=torch.float64)
CONTEXT = StepContext(3, 10, 0, 6, 0, 6)


def test_with_probability_0_every_transformation_is_the_identity_bit_for_bit():
    images = IMAGES.clone().requires_grad_()
    result = Augmentation(NAMES, 0.0)(images, CONTEXT)
    assert torch.equal(result, images)
    result.sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))
    assert Augmentation()(images, CONTEXT) is images


@pytest.mark.parametrize("name", NAMES)
def test_at_a_probability_some_images_change_and_some_do_not(name):
    images = IMAGES[:1].expand(400, -1, -1, -1)
    context = CONTEXT._replace(global_batch_size=400)
    changed = Augmentation([name], 0.8)(images, context) != images
    share = changed.flatten(1).any(1).double().mean()
    still = {"flip": 1 / 2, "rotate90": 1 / 4, "shift": 1 / 25}.get(name, 0.0)
    assert share == pytest.approx(0.8 * (1 - still), abs=0.08)  # 4 standard errors


@pytest.mark.parametrize(("name", "move"), [
    ("flip", lambda x: x.flip(3)),
    ("rotate90", lambda x: x.rot90(1, (2, 3))),
])  # fmt: skip
def test_the_expectation_of_a_group_is_symmetric_under_it(name, move):
    """The mean over the numbers, which are uniform, is the mean over the group."""
    numbers = torch.linspace(0, 0.999, 8)[:, None, None].expand(8, 6, 3)
    mean = torch.stack([TRANSFORMATIONS[name](IMAGES, each) for each in numbers]).mean(0)
    torch.testing.assert_close(move(mean), mean, rtol=1e-14, atol=0)
    assert (mean - IMAGES).abs().max() > 0.1


def test_a_shift_moves_whole_pixels_and_mirrors_at_the_edge():
    numbers = torch.tensor([[0.999, 0.5, 0]]).expand(6, 3)  # two pixels of 16 in width
    result = shift(IMAGES, numbers)
    torch.testing.assert_close(result[..., :14], IMAGES[..., 2:], rtol=0, atol=1e-6)
    torch.testing.assert_close(result[..., 14:], IMAGES[..., 14:].flip(3), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_a_rotation_keeps_distances_also_of_images_that_are_not_square(size):
    """Of an image whose channels are a pixel's row and column it shows where pixels come from."""
    rows, columns = torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij")
    places = torch.stack([rows, columns])[None].double()
    result = rotate(places, torch.tensor([[0.75, 0, 0]]))[0, :, 4:-4, 4:-4]
    steps = result.diff(dim=1)[..., 1:], result.diff(dim=2)[:, 1:]
    for step in steps:
        torch.testing.assert_close(step.norm(dim=0), torch.ones_like(step[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close((steps[0] * steps[1]).sum(0), 0 * steps[0][0], atol=1e-5, rtol=0)
    angle = torch.atan2(steps[0][1], steps[0][0]).abs().rad2deg()
    torch.testing.assert_close(angle, torch.full_like(angle, 7.5), atol=1e-3, rtol=0)


def test_colour_keeps_grey_images_grey_and_is_the_identity_in_its_middle():
    numbers = torch.rand(6, 3, generator=draw)
    middle = torch.full((6, 3), 0.5)
    torch.testing.assert_close(colour(IMAGES, middle), IMAGES)
    grey = IMAGES.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    result = colour(grey, numbers)
    torch.testing.assert_close(result, result.mean(1, keepdim=True).expand_as(result))
    assert (colour(IMAGES, numbers) - IMAGES).abs().amax((1, 2, 3)).min() > 1e-3


def test_a_row_has_its_transformation_whatever_the_processes_and_at_its_step():
    augment = Augmentation(NAMES)
    whole = augment(IMAGES, CONTEXT)
    part = augment(IMAGES[2:4], CONTEXT._replace(first_row=2))
    torch.testing.assert_close(part, whole[2:4], rtol=0, atol=1e-12)
    assert torch.equal(augment(IMAGES, CONTEXT), whole)
    assert not torch.equal(augment(IMAGES, CONTEXT._replace(step=4)), whole)
    assert not torch.equal(augment(IMAGES, CONTEXT._replace(seed=1)), whole)
    both = augment(torch.cat([IMAGES, IMAGES]), CONTEXT, 2)
    assert torch.equal(*both.chunk(2))


@pytest.mark.parametrize("name", ["dcgan", "modern", "vaegan", "patches", "paired"])
def test_each_player_changes_only_its_own_weights_by_its_own_terms(name):
    model, images = MODELS[name]().double().train(), batch()
    model.augment = Augmentation(["flip", "rotate", "shift", "colour"])
    check_step(model, images, moment(1))


@pytest.mark.parametrize("name", ["dcgan", "modern", "vaegan", "paired"])
def test_the_critic_sees_real_and_drawn_images_transformed_and_nobody_else_does(name):
    """Were only the real ones transformed, samples would come to show it."""
    model, images = MODELS[name]().double().train(), batch()
    model.augment = lambda x, *_: 1 - x  # its own inverse
    inputs: list = []
    first = next(m for m in model.critic.modules() if isinstance(m, torch.nn.Conv2d))
    first.register_forward_hook(lambda module, args, output: inputs.append(args[0].detach()))
    shared = model.shared(images, moment())
    fake = shared if isinstance(shared, torch.Tensor) else model.likelihood.mean(shared[-1])
    for player in model.players().values():
        inputs.clear()
        player.terms(images, moment(), shared)
        rows = torch.cat(inputs)
        for seen in (images.image, fake):
            distances = torch.cdist((1 - seen).flatten(1), rows.flatten(1)).amin(1)
            relativistic_or_critic = (
                seen is fake or name != "dcgan" or player.module is model.critic
            )
            assert not relativistic_or_critic or distances.max() < 1e-6
            assert torch.cdist(seen.flatten(1), rows.flatten(1)).min() > 1e-3
