"""Laws of finite scalar quantisation: grid, gradient, tokens, rate, and every command on it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import latentia
from latentia.core.errors import Error
from latentia.core.posterior import log_ratio
from latentia.models.fsq import FSQ, LEVELS, Codes, quantize

LEVELS_UNDER_TEST = [(8, 5, 5, 5), (7, 5, 5, 5, 5), (2, 3), (4,)]


@pytest.mark.parametrize("levels", LEVELS_UNDER_TEST)
def test_bounded_numbers_reach_every_level_and_no_other(levels):
    codes = Codes(levels)
    numbers = torch.linspace(-30, 30, 20_001).view(-1, 1, 1, 1).expand(-1, len(levels), 1, 1)
    bounded = codes.bound(numbers)
    z = codes(bounded)
    assert z.abs().max() <= 1
    for k, count in enumerate(levels):
        values = z[:, k].unique()
        assert len(values) == count
        half = count // 2
        torch.testing.assert_close(values, (torch.arange(count) - half) / half)
        assert (bounded[:, k].diff(dim=0) >= 0).all()
    torch.testing.assert_close(codes.bound(torch.zeros(1, len(levels), 1, 1)).abs().max(),
                               torch.tensor(0.0), atol=1e-6, rtol=0)  # fmt: skip
    assert torch.equal(codes(z), z)  # rounding is idempotent, to the bit


@pytest.mark.parametrize("levels", LEVELS_UNDER_TEST)
def test_codes_and_tokens_are_one_to_one(levels):
    codes = Codes(levels)
    tokens = torch.arange(math.prod(levels)).view(1, 1, -1)
    z = codes.from_tokens(tokens)
    assert torch.equal(codes.tokens(z), tokens)
    assert len(z.flatten(2)[0].T.unique(dim=0)) == codes.count == math.prod(levels)
    assert torch.equal(codes(z), z)
    # the first channel counts first
    assert torch.equal(
        codes.tokens(codes.from_tokens(torch.tensor([[[1]]]))), torch.tensor([[[1]]])
    )
    step = codes.from_tokens(torch.tensor([[[0, 1]]])).diff(dim=3)[0, :, 0, 0]
    assert (step != 0).tolist() == [True] + [False] * (len(levels) - 1)


def test_the_gradient_passes_straight_through_the_rounding():
    codes = Codes((8, 5))
    heads = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    codes = codes.double()
    (ours,) = torch.autograd.grad((codes(codes.bound(heads)) * weight).sum(), heads)
    (smooth,) = torch.autograd.grad((codes.bound(heads) * weight).sum(), heads)
    torch.testing.assert_close(ours, smooth)
    assert ours.all()


def test_the_rate_is_the_logarithm_of_the_number_of_grids():
    fsq = FSQ(Codes((8, 5, 5, 5)))
    posterior = fsq(torch.randn(6, 8, 3, 2))
    expected = torch.full((6,), 6 * math.log(1000))
    torch.testing.assert_close(posterior.kl(), expected)
    torch.testing.assert_close(log_ratio(posterior, posterior.mean, ""), expected)
    torch.testing.assert_close(fsq.log_prob(posterior.mean), -expected)
    assert torch.equal(posterior.sample(torch.randn(6, 4, 3, 2)), posterior.mean)
    assert posterior.tokens.shape == (6, 3, 2)
    assert posterior.tokens.dtype == torch.int64


def test_draws_of_the_prior_are_uniform_over_the_codes():
    fsq = FSQ(Codes((4, 3)))
    z = fsq.transform(torch.randn(20_000, 2, 1, 3), torch.rand(20_000))
    counts = fsq.codes.tokens(z).flatten().bincount(minlength=12).double()
    expected = counts.sum() / 12
    assert ((counts - expected).square() / expected).sum() < 35  # chi squared, 11 degrees: p 2e-4
    assert torch.equal(fsq.codes(z), z)


def test_the_decoder_sees_codes_only():
    seen = []

    class Spy(nn.Module):
        def forward(self, z):
            seen.append(z)
            return z

    fsq, decoder = quantize(Spy(), 4)
    assert fsq.codes.levels.flatten().tolist() == [*LEVELS[4]]
    decoder(3 * torch.randn(50, 4, 2, 2))
    assert torch.equal(fsq.codes(seen[0]), seen[0])
    assert quantize(Spy(), 2)[0].codes.count == 25


@pytest.fixture
def run(array_file, trained, toys):
    knobs = {"data": array_file, **toys["image_autoencoder"], "quantizer": "fsq"}
    return trained("fsq", "image_autoencoder", knobs)


def test_tokens_are_integers_of_the_table_and_decode_to_the_reconstruction(run):
    opened = latentia.load(run.path)
    model, split = opened.model, opened.split("test")
    table = opened.encode()
    table = table[table["split"] == "test"]
    names = [name for name in table if name.startswith("token_")]
    assert len(names) == math.prod(model.latent_shape[1:])
    assert names[1] == "token_0_1"
    assert all(table[name].dtype == np.int64 for name in names)
    assert not [name for name in table if name.startswith("sd_")]
    tokens = torch.from_numpy(table[names].to_numpy(copy=True)).view(-1, *model.latent_shape[1:])
    images = split.get_batch(slice(0, len(split))).image
    decoded = model.decode(model.prior.codes.from_tokens(tokens))
    torch.testing.assert_close(decoded, model.reconstruct(images))


def test_every_command_takes_it(run, tmp_path):
    from latentia.cli.main import main

    path = str(run.path)
    for command in (
        ["encode", path, "--out", str(tmp_path / "z.npz")],
        ["encode", path, "--out", str(tmp_path / "z.csv")],
        ["sample", path, "-n", "2", "--out", str(tmp_path / "s.png")],
        ["traverse", path, "0", "--out", str(tmp_path / "t.png")],
        ["interpolate", path, "0", "1", "--out", str(tmp_path / "i.png")],
        ["evaluate", path, "--metrics", "elbo,nll", "--k", "2"],
        ["report", path],
        ["export", path, "--out", str(tmp_path / "onnx")],
    ):
        assert main(command) == 0, command
    arrays = np.load(tmp_path / "z.npz")
    assert arrays["token"].shape[1:] == run.model().latent_shape[1:]
    assert np.issubdtype(arrays["token"].dtype, np.integer)
    assert "codes in use" in (run.path / "report.html").read_text()
    result = latentia.load(run.path).evaluate("elbo", "nll", k=3)
    values = {each.name: each.value for each in result}
    assert values["nll_nats"] == pytest.approx(values["nelbo_nats"], rel=1e-4)


def test_a_learned_prior_of_codes_is_rounded_at_the_end(run, tmp_path):
    knobs = {"width": 16, "depth": 1, "epochs": 1, "batch": 16, "clusters": 0}
    prior = latentia.train("latent_prior", autoencoder=run.path, run=tmp_path / "p", **knobs)
    z = prior.model.draw_latents(2)
    autoencoder = prior.model.autoencoder
    rounded = autoencoder.prior.codes(z)
    assert not torch.equal(rounded, z)
    torch.testing.assert_close(prior.model.sample(2), autoencoder.decode(rounded))


def test_an_interrupted_run_goes_on_bit_for_bit(array_file, trained, toys):
    from latentia.api.training import resume_run
    from training.test_resume import content

    knobs = {"data": array_file, **toys["image_autoencoder"], "quantizer": "fsq"}
    whole, cut = (trained(n, "image_autoencoder", knobs, s) for n, s in (("a", None), ("b", 5)))
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


@pytest.mark.parametrize("name", ["capacity", "free_bits", "divergence", "multirate", "prior"])
def test_modifiers_of_a_gaussian_rate_are_refused(array_file, toys, tmp_path, name):
    with pytest.raises(Error, match="leave"):
        latentia.train(
            "image_autoencoder",
            data=array_file,
            run=tmp_path / "r",
            quantizer="fsq",
            modifiers={name: {}},
            **toys["image_autoencoder"],
        )
    assert not (tmp_path / "r").exists()
