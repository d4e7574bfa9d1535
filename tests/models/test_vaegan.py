"""The VAE-GAN: what its adversary adds, by how much, and what moves which statistic."""

from dataclasses import replace

import pytest
import torch
from duels import batch, engine_step, isolated_update, moment, paired, patches, vaegan, weights
from torch import nn

from latentia.core.schedules import delayed, linear
from latentia.losses.adversarial import Relativistic, fake_bce, feature_matching_loss, real_bce
from latentia.models.vae import VAE
from latentia.models.vaegan import LAZY_INTERVAL, NAMES, RelativisticObjective
from latentia.nets.critic import Critic
from latentia.nets.vaegan import BATCH_STATISTICS_NORM


class Blind(RelativisticObjective):
    monitors_samples = False


def plain(model):
    return VAE(model.encoder, model.decoder, model.likelihood, model.beta)


def flat(update, part):
    return torch.cat([v.flatten() for k, v in update.items() if k.startswith(part)])


def degrees(a, b):
    return torch.rad2deg(torch.acos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))).item()


def trained(gradient_ratio=0.5, n=6):
    """A few steps in: statistics and weights are no longer those of the start."""
    model, images = vaegan(gradient_ratio).double().train(), batch(n)
    for step in range(3):
        engine_step(model, images, moment(step, n=n))
    return model, images


@pytest.mark.parametrize("gradient_ratio", [0.5, None])
def test_with_the_critic_at_zero_the_vae_learns_as_a_plain_vae(gradient_ratio):
    model, images = trained(gradient_ratio)
    with torch.no_grad():
        for parameter in model.critic.parameters():
            parameter.zero_()
    alone = isolated_update(plain(model), "vae", images, moment(3))
    before = weights(model.players()["vae"])
    engine_step(model, images, moment(3))
    after = weights(model.players()["vae"])
    assert model.monitors()["gradient of adversarial"].isfinite()
    for key, update in alone.items():
        torch.testing.assert_close(after[key] - before[key], update, atol=1e-12, rtol=0)


def test_before_the_adversary_joins_the_vae_is_a_plain_one_and_the_critic_rests():
    model, images = vaegan().double().train(), batch()
    ratio = delayed(0.4, linear(0.0, 0.5), until=0.6)
    model.adversarial_objective = replace(model.adversarial_objective, gradient_ratio=ratio)
    alone = isolated_update(plain(model), "vae", images, moment(4))
    before = {name: weights(player) for name, player in model.players().items()}
    engine_step(model, images, moment(4))
    now = {name: weights(player) for name, player in model.players().items()}
    for key, update in alone.items():
        torch.testing.assert_close(now["vae"][key] - before["vae"][key], update, atol=1e-12, rtol=0)
    assert all(torch.equal(now["critic"][k], v) for k, v in before["critic"].items())
    assert not model.monitors()
    engine_step(model, images, moment(5))
    assert not torch.equal(
        now["critic"]["logit.weight"], weights(model.players()["critic"])["logit.weight"]
    )
    assert set(model.monitors()) == set(NAMES)


def test_the_adversary_turns_the_decoder_by_the_stated_angle_and_published_by_almost_none():
    """A gradient ratio of 1/2 turns it by up to 30 degrees, arcsin(1/2), here by over 10."""
    turned = {}
    for gradient_ratio in (0.5, None):
        model, images = trained(gradient_ratio, n=24)
        alone = isolated_update(plain(model), "vae", images, moment(3, n=24))
        whole = isolated_update(model, "vae", images, moment(3, n=24))
        turned[gradient_ratio] = degrees(flat(alone, "decoder"), flat(whole, "decoder"))
    assert 10 < turned[0.5] < 45, turned
    assert turned[None] < 1, turned


def test_the_adversarial_gradient_is_that_of_one_pass_through_both_networks():
    """Against the objective as it is written: no leaf, no known gradient."""
    model, images = trained()
    when, player = moment(3), model.players()["vae"]
    shared = model.shared(images, when)
    seen = [model.likelihood.mean(x) for x in shared.fakes.values()]
    _, of_reconstruction, of_sample = model.critic(torch.cat([images.image, *seen])).chunk(3)
    written = 0.5 * real_bce(of_reconstruction) + 0.5 * real_bce(of_sample)
    weight, carried, _ = player.terms(images, when, shared)["adversarial"]
    torch.testing.assert_close(carried, written)
    decoder = list(model.decoder.parameters())
    expected = torch.autograd.grad(written.mean(), decoder, retain_graph=True)
    found = torch.autograd.grad(carried.mean(), decoder)
    assert weight > 0
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-9)


def test_the_vae_is_rewarded_where_the_critic_is_deceived():
    """One library trains its decoder to help the critic: cosine -1."""
    model, images = trained()
    shared = model.shared(images, moment(3))
    value, gradient = model.adversarial_losses(images, shared)["adversarial"]
    output = torch.cat([*shared.fakes.values()]).detach() - 1e-3 * gradient / gradient.norm()
    better = model.critic(torch.cat([images.image, model.likelihood.mean(output)])).chunk(3)[1:]
    assert sum(real_bce(x).sum() for x in better) * 0.5 < value.sum()
    assert sum(fake_bce(x).sum() for x in better) > 0


@pytest.mark.parametrize("gradient_ratio", [0.1, 0.5, 2.0])
def test_the_weight_brings_both_gradients_to_the_stated_ratio(gradient_ratio):
    model, images = trained(gradient_ratio)
    shared = model.shared(images, moment(3))
    terms = model.terms(images, moment(3), shared)
    outputs = list(shared.fakes.values())
    norms = {}
    for key in ("distortion", "adversarial"):
        weight, value, _ = terms[key]
        gradients = torch.autograd.grad(
            weight * value.sum(), outputs, retain_graph=True, allow_unused=True
        )
        norms[key] = sum(g.square().sum() for g in gradients if g is not None) ** 0.5
    assert norms["adversarial"] / norms["distortion"] == pytest.approx(gradient_ratio, rel=1e-6)


def test_features_have_their_own_ratio_and_the_gradient_of_one_pass():
    """Against the objective as it is written; the critic is a function of one image here."""
    model, images = patches(feature_matching=0.25).double().train(), batch()
    shared = model.shared(images, moment(3))
    assert list(shared.fakes) == ["reconstruction"]  # no sample is drawn for nothing
    terms = model.terms(images, moment(3), shared)
    seen = model.likelihood.mean(shared.reconstruction)
    written = {
        "adversarial": real_bce(model.critic(seen)),
        "features": feature_matching_loss(
            model.critic.features(seen), model.critic.features(images.image)
        ),
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
    assert set(model.monitors()) >= {"gradient of features", "gradient of adversarial"}


def test_published_is_one_over_the_batch_per_image():
    model, images = trained(None)
    terms = model.terms(images, moment(3), model.shared(images, moment(3)))
    assert terms["adversarial"][0] == pytest.approx(1 / 6)
    assert {k: w for k, (w, _, _) in terms.items() if k != "adversarial"} == {
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


@pytest.mark.parametrize("reconstruction_weight", [1.0, 0.25])
def test_pairs_are_the_relativistic_loss_of_each_image_with_its_own_fake(reconstruction_weight):
    """Both players against the loss as it is written, each image through the critic alone."""
    model, images = paired(reconstruction_weight=reconstruction_weight).double().train(), batch()
    player = model.players()
    when = moment(3 * LAZY_INTERVAL - 1)  # no penalty here
    shared = model.shared(images, when)
    fakes = [model.likelihood.mean(x) for x in shared.fakes.values()]
    weights = [1.0] if reconstruction_weight == 1 else [0.25, 0.75]
    loss = Relativistic(dict(zip(shared.fakes, weights, strict=True)))
    real = torch.cat([model.critic(x[None]) for x in images.image])
    logits = [torch.cat([model.critic(x[None]) for x in fake]) for fake in fakes]
    found = player["critic"].terms(images, when, shared)
    expected = sum(w * real_bce(real - x) for w, x in zip(weights, logits, strict=True))
    assert list(found) == ["pair"]
    torch.testing.assert_close(found["pair"][:2], (1.0, expected))
    torch.testing.assert_close(loss.critic_terms(real, *logits)["pair"][:2], (1.0, expected))
    terms = player["vae"].terms(images, when, shared)
    against = sum(w * real_bce(x - real) for w, x in zip(weights, logits, strict=True))
    torch.testing.assert_close(loss.generator_loss(real, *logits), against)
    features = feature_matching_loss(
        model.critic.features(fakes[0]), model.critic.features(images.image)
    )
    for name, written in (("adversarial", against), ("features", features)):
        torch.testing.assert_close(terms[name][1], written)
        outputs = list(shared.fakes.values())
        how = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        expected = torch.autograd.grad(written.sum(), outputs, **how)
        for a, b in zip(torch.autograd.grad(terms[name][1].sum(), outputs, **how), expected):  # noqa: B905
            torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-9)


def test_samples_have_no_image_whose_features_they_could_match():
    model, images = paired(reconstruction_weight=0.0).double().train(), batch()
    shared = model.shared(images, moment(3))
    assert list(shared.fakes) == ["sample"]
    assert set(model.terms(images, moment(3), shared)) == {"distortion", "rate", "adversarial"}


def test_every_fourth_step_of_the_critic_is_penalised_fourfold():
    """R1 and R2 of each image alone, against the gradients of one image after the other."""
    model, images = paired(critic_interval=2).double().train(), batch()
    penalised = []
    for step in range(0, 4 * LAZY_INTERVAL, 2):
        when = moment(step, total=40)
        shared = model.shared(images, when)
        terms = model.critic_terms(images, when, shared)
        if "R1" not in terms:
            continue
        penalised.append(step)
        fake = model.likelihood.mean(shared.fakes["reconstruction"]).detach()
        for name, kind in (("R1", images.image), ("R2", fake)):
            each = []
            for image in kind:
                leaf = image[None].clone().requires_grad_()
                (gradient,) = torch.autograd.grad(model.critic(leaf).sum(), leaf)
                each.append(gradient.square().sum() / 2)
            torch.testing.assert_close(terms[name][:2], (LAZY_INTERVAL * 0.1, torch.stack(each)))
    assert penalised == [0, 2 * LAZY_INTERVAL]


def test_penalties_and_batch_norm_are_refused_together():
    """The gradient of a batch's sum is not that of a logit."""
    with pytest.raises(ValueError, match="BatchNorm"):
        paired(critic=Critic((1, 8, 12), (4, 8), norm=BATCH_STATISTICS_NORM))


def test_samples_of_no_weight_are_looked_at_and_change_nothing():
    model, images = paired().double().train(), batch()
    blind = paired().double().train()
    blind.adversarial_objective = Blind(**vars(blind.adversarial_objective))
    for step in range(LAZY_INTERVAL + 1):
        for each in (model, blind):
            engine_step(each, images, moment(step))
    found, blind_found = model.monitors(), blind.monitors()
    assert set(found) - set(blind_found) == {"accuracy sample", "spread of samples"}
    for key, value in blind.state_dict().items():
        if not key.startswith("meter"):
            assert torch.equal(model.state_dict()[key], value), key
    assert all(torch.equal(found[key], value) for key, value in blind_found.items())
