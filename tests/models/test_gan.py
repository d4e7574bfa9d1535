"""The GAN: what its penalties, dropout and fakes have in common between the players."""

import pytest
import torch
from duels import batch, dcgan, modern, moment

from latentia.core.seeding import seed_global_generators


def test_fakes_are_made_once_and_the_generator_learns_through_them():
    model, images = dcgan().train(), batch(dtype=torch.float32)
    shared = model.shared(images, moment())
    assert shared.requires_grad
    critic, generator = model.players().values()
    calls = []
    model.generator.register_forward_hook(lambda *_: calls.append(1))
    critic.terms(images, moment(), shared)
    generator.terms(images, moment(), shared)
    assert calls == []


def test_dropout_differs_between_steps_and_players_and_repeats_at_its_address():
    model, images = dcgan().train(), batch(dtype=torch.float32)
    shared = model.shared(images, moment())

    def real(player, step):
        seed_global_generators(0, f"dropout/{player}", step)
        return model.critic_terms(images, moment(), shared)["real"][1]

    assert torch.equal(real("critic", 0), real("critic", 0))
    assert not torch.equal(real("critic", 0), real("critic", 1))
    assert not torch.equal(real("critic", 0), real("generator", 0))


def test_penalties_are_weights_apart_from_their_values():
    model, images = modern().train(), batch(dtype=torch.float32)
    terms = model.critic_terms(images, moment(), model.shared(images, moment()))
    assert set(terms) == {"pair", "R1", "R2"}
    assert (terms["pair"][0], terms["R1"][0], terms["R2"][0]) == (1.0, 0.7, 0.7)
    assert not images.image.requires_grad


def test_penalties_under_bfloat16_agree_with_float32():
    """Autocast needs no exception. One image's slope may move where rounding flips the side of a
    LeakyReLU; over a batch value and gradient agree.
    """
    model, images = modern().train(), batch(n=48, dtype=torch.float32)
    model.to(memory_format=torch.channels_last)  # pyright: ignore
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            terms = model.critic_terms(images, moment(n=48), model.shared(images, moment(n=48)))
        model.zero_grad()
        (terms["R1"][1].mean() + terms["R2"][1].mean()).backward()
        gradient = torch.cat(
            [p.grad.flatten() for p in model.critic.parameters() if p.grad is not None]
        )
        found.append((terms["R1"][1].mean(), gradient))
    assert found[1][0].item() == pytest.approx(found[0][0].item(), rel=0.03)
    cosine = torch.nn.functional.cosine_similarity(found[0][1], found[1][1], dim=0)
    assert cosine > 0.995
