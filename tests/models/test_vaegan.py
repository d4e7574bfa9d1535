"""The VAE-GAN: what its adversary adds, by how much, and what moves which statistic."""

import pytest
import torch
from duels import batch, engine_step, isolated_update, moment, patches, vaegan, weights
from torch import nn

from latentia.core.schedules import after, linear
from latentia.losses.adversarial import as_fake, as_real
from latentia.losses.perceptual import mismatch
from latentia.models.vae import VAE
from latentia.models.vaegan import NAMES


def plain(model):
    return VAE(model.encoder, model.decoder, model.likelihood, model.beta)


def flat(update, part):
    return torch.cat([v.flatten() for k, v in update.items() if k.startswith(part)])


def degrees(a, b):
    return torch.rad2deg(torch.acos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))).item()


def trained(balance=0.5, n=6):
    """A few steps in: statistics and weights are no longer those of the start."""
    model, images = vaegan(balance).double().train(), batch(n)
    for step in range(3):
        engine_step(model, images, moment(step, n=n))
    return model, images


@pytest.mark.parametrize("balance", [0.5, None])
def test_with_the_critic_at_zero_the_vae_learns_as_a_plain_vae(balance):
    model, images = trained(balance)
    with torch.no_grad():
        for parameter in model.critic.parameters():
            parameter.zero_()
    alone = isolated_update(plain(model), "vae", images, moment(3))
    before = weights(model.players()["vae"])
    engine_step(model, images, moment(3))
    after = weights(model.players()["vae"])
    assert model.gauges()["gradient of adversarial"].isfinite()
    for key, update in alone.items():
        torch.testing.assert_close(after[key] - before[key], update, atol=1e-12, rtol=0)


def test_before_the_adversary_joins_the_vae_is_a_plain_one_and_the_critic_rests():
    model, images = vaegan().double().train(), batch()
    model.balance = after(0.4, linear(0.0, 0.5), until=0.6)
    alone = isolated_update(plain(model), "vae", images, moment(4))
    before = {name: weights(player) for name, player in model.players().items()}
    engine_step(model, images, moment(4))
    now = {name: weights(player) for name, player in model.players().items()}
    for key, update in alone.items():
        torch.testing.assert_close(now["vae"][key] - before["vae"][key], update, atol=1e-12, rtol=0)
    assert all(torch.equal(now["critic"][k], v) for k, v in before["critic"].items())
    assert not model.gauges()
    engine_step(model, images, moment(5))
    assert not torch.equal(
        now["critic"]["logit.weight"], weights(model.players()["critic"])["logit.weight"]
    )
    assert set(model.gauges()) == set(NAMES)


def test_the_adversary_turns_the_decoder_by_the_stated_angle_and_published_by_almost_none():
    """Trap 4: at a balance of 1/2 up to arcsin(1/2) = 30 degrees at the output; here over 10."""
    turned = {}
    for balance in (0.5, None):
        model, images = trained(balance, n=24)
        alone = isolated_update(plain(model), "vae", images, moment(3, n=24))
        whole = isolated_update(model, "vae", images, moment(3, n=24))
        turned[balance] = degrees(flat(alone, "decoder"), flat(whole, "decoder"))
    assert 10 < turned[0.5] < 45, turned
    assert turned[None] < 1, turned


def test_the_adversarial_gradient_is_that_of_one_pass_through_both_networks():
    """Against the objective as it is written: no leaf, no carried gradient."""
    model, images = trained()
    when, player = moment(3), model.players()["vae"]
    shared = model.shared(images, when)
    seen = [model.likelihood.mean(x) for x in shared.fakes.values()]
    _, of_reconstruction, of_sample = model.critic(torch.cat([images.image, *seen])).chunk(3)
    written = 0.5 * as_real(of_reconstruction) + 0.5 * as_real(of_sample)
    weight, carried = player.terms(images, when, shared)["adversarial"]
    torch.testing.assert_close(carried, written)
    decoder = list(model.decoder.parameters())
    expected = torch.autograd.grad(written.mean(), decoder, retain_graph=True)
    found = torch.autograd.grad(carried.mean(), decoder)
    assert weight > 0
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-9)


def test_the_vae_is_rewarded_where_the_critic_is_deceived():
    """One library trains its decoder to help the critic: cosine -1 (trap 5)."""
    model, images = trained()
    shared = model.shared(images, moment(3))
    value, gradient = model.adversary(images, torch.cat([*shared.fakes.values()]))
    output = torch.cat([*shared.fakes.values()]).detach() - 1e-3 * gradient / gradient.norm()
    better = model.critic(torch.cat([images.image, model.likelihood.mean(output)])).chunk(3)[1:]
    assert sum(as_real(x).sum() for x in better) * 0.5 < value.sum()
    assert sum(as_fake(x).sum() for x in better) > 0


@pytest.mark.parametrize("balance", [0.1, 0.5, 2.0])
def test_the_weight_brings_both_gradients_to_the_stated_ratio(balance):
    model, images = trained(balance)
    shared = model.shared(images, moment(3))
    terms = model.terms(images, moment(3), shared)
    outputs = list(shared.fakes.values())
    norms = {}
    for key in ("distortion", "adversarial"):
        weight, value = terms[key]
        gradients = torch.autograd.grad(
            weight * value.sum(), outputs, retain_graph=True, allow_unused=True
        )
        norms[key] = sum(g.square().sum() for g in gradients if g is not None) ** 0.5
    assert norms["adversarial"] / norms["distortion"] == pytest.approx(balance, rel=1e-6)


def test_features_have_their_own_ratio_and_the_gradient_of_one_pass():
    """Against the objective as it is written; the critic is a function of one image here."""
    model, images = patches(matching=0.25).double().train(), batch()
    shared = model.shared(images, moment(3))
    assert list(shared.fakes) == ["reconstruction"]  # no sample is drawn for nothing
    terms = model.terms(images, moment(3), shared)
    seen = model.likelihood.mean(shared.reconstruction)
    written = {
        "adversarial": as_real(model.critic(seen)),
        "features": mismatch(model.critic.features(seen), model.critic.features(images.image)),
    }
    output, norms = shared.reconstruction, {}
    for key, value in {"distortion": terms["distortion"][1], **written}.items():
        (expected,) = torch.autograd.grad(value.sum(), output, retain_graph=True)
        (found,) = torch.autograd.grad(terms[key][1].sum(), output, retain_graph=True)
        torch.testing.assert_close(terms[key][1], value)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)
        norms[key] = terms[key][0] * found.norm()
    assert norms["adversarial"] / norms["distortion"] == pytest.approx(0.5, rel=1e-6)
    assert norms["features"] / norms["distortion"] == pytest.approx(0.25, rel=1e-6)
    assert set(model.gauges()) >= {"gradient of features", "gradient of adversarial"}


def test_published_is_one_over_the_batch_per_image():
    model, images = trained(None)
    terms = model.terms(images, moment(3), model.shared(images, moment(3)))
    assert terms["adversarial"][0] == pytest.approx(1 / 6)
    assert {k: w for k, (w, _) in terms.items() if k != "adversarial"} == {
        "distortion": 1.0,
        "rate": 0.3,
    }


def test_running_statistics_are_those_of_reconstructions_alone():
    """Samples are drawn as users draw them: by the running statistics, which they do not move."""
    model, images = trained()
    alone = plain(vaegan().double().train())
    alone.load_state_dict({k: v for k, v in model.state_dict().items() if k in alone.state_dict()})
    shared = model.shared(images, moment(3))
    assert all(m.training for m in model.modules())
    alone.terms(images, moment(3))
    norms = [m for m in model.decoder.modules() if isinstance(m, nn.BatchNorm2d)]
    twins = [m for m in alone.decoder.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm, twin in zip(norms, twins, strict=True):
        assert torch.equal(norm.running_mean, twin.running_mean)  # pyright: ignore
    model.decoder.eval()
    torch.testing.assert_close(
        model.shared(images, moment(3)).fakes["sample"], shared.fakes["sample"], atol=1e-12, rtol=0
    )


def test_the_critics_statistics_hold_the_three_kinds_and_tell_no_label():
    """Its logits depend on the batch as a set: any order of kinds gives the same judgement."""
    model, images = trained()
    shared = model.shared(images, moment(3))
    kinds = [images.image, *(model.likelihood.mean(x.detach()) for x in shared.fakes.values())]
    a, b, c = model.critic(torch.cat(kinds)).chunk(3)
    c2, a2, b2 = model.critic(torch.cat([kinds[2], kinds[0], kinds[1]])).chunk(3)
    for x, y in ((a, a2), (b, b2), (c, c2)):
        torch.testing.assert_close(x, y)
    assert not [k for k, _ in model.critic.named_buffers()]
