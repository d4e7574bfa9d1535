"""Laws of every adversarial model: whose gradient, in which order, from which numbers."""

import copy

import pytest
import torch
from duels import MODELS, batch, check_step, engine_step, moment

from latentia.training.step import freeze_others

# of pixels in [0, 1] in float32, 6e-8 a rounding: another size of batch makes some tens of them in
# a network of few layers, another seed differs by 1e-2 at least
SAME, OTHER = 1e-5, 1e-3
ALL = pytest.mark.parametrize("name", MODELS)


@ALL
def test_each_update_is_the_one_of_its_own_terms_at_the_parameters_it_saw(name):
    """Against a reference that knows nothing of freezing: each player's own terms alone,
    differentiated in a copy, where the players before it have stepped and those after it have not.

    Pitfall: Gradient of the wrong player.
    """
    model, images = MODELS[name]().double().train(), batch()
    for step in range(2):
        check_step(
            model,
            images,
            moment(step),  # a bias of a pair's logit is in both of its terms
            may_rest=lambda key: name == "vaegan" or (name, key) == ("paired", "logit.bias"),
        )


@ALL
def test_every_parameter_of_a_player_has_a_gradient_and_no_other_has(name):
    model, images = MODELS[name]().double().train(), batch()
    for key, player in model.players().items():
        shared = model.shared(images, moment())
        with freeze_others(player, model):
            terms = player.terms(images, moment(), shared)
            sum(w * v.mean() for w, v, _ in terms.values()).backward()  # pyright: ignore
        own = {id(p) for p in player.module.parameters()}
        for at, parameter in model.named_parameters():
            if id(parameter) in own:
                assert parameter.grad is not None, (key, at)
            else:
                assert parameter.grad is None, (key, at)
            parameter.grad = None


@ALL
def test_the_critic_steps_first(name):
    assert next(iter(MODELS[name]().players())) == "critic"


@ALL
def test_terms_are_float32_nats_per_image_under_bfloat16(name):
    model, images = MODELS[name]().train(), batch(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        shared = model.shared(images, moment())
        for player in model.players().values():
            for key, (weight, value, _) in player.terms(images, moment(), shared).items():
                assert float(weight) >= 0, key
                assert value.shape == (6,), key
                assert value.dtype == torch.float32, key
                assert value.isfinite().all(), key


@ALL
def test_terms_are_functions_of_weights_images_and_moment(name):
    """Noise has an address; the global generator moves dropout only, which the engine seeds."""
    original, images = MODELS[name]().train(), batch(dtype=torch.float32)
    for module in original.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = copy.deepcopy(original)  # running statistics are part of what it is
        shared = model.shared(images, moment())
        players = model.players().values()
        values.append(
            [v for p in players for _, v, _ in p.terms(images, moment(), shared).values()]
        )
    assert all(torch.equal(a, b) for a, b in zip(*values, strict=True))
    now, later = (copy.deepcopy(original).shared(images, moment(step)) for step in (0, 1))
    assert not torch.equal(now[-1], later[-1])


@ALL
def test_samples_are_functions_of_their_latent_and_leave_the_model_untouched(name):
    """Drawn in evaluation mode, whatever the batch: with BatchNorm in training mode both fail."""
    model, images = MODELS[name]().train(), batch(dtype=torch.float32)
    for step in range(3):
        engine_step(model, images, moment(step))
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    many = model.sample(70, seed=3)
    torch.testing.assert_close(model.sample(5, seed=3), many[:5], atol=SAME, rtol=0)
    assert (model.sample(5, seed=4) - many[:5]).abs().max() > OTHER
    assert many.min() >= 0
    assert many.max() <= 1
    model.score(images, moment())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


@ALL
def test_gauges_are_in_the_state_and_shares_are_shares(name):
    model, images = MODELS[name]().train(), batch(dtype=torch.float32)
    assert model.monitors() == {}
    for step in range(3):
        engine_step(model, images, moment(step))
    gauges = model.monitors()
    assert all(0 <= gauges[k] <= 1 for k in gauges if k.startswith("accuracy"))
    assert any(k.startswith("gradient") for k in gauges)
    other = MODELS[name]()
    other.load_state_dict(model.state_dict())
    assert other.monitors() == gauges
