"""Features, Fréchet distance and sharpness against closed forms."""

import math
from itertools import islice

import numpy as np
import pytest
import torch

from latentia.core.errors import Error
from latentia.data import open_images
from latentia.data.cache import cache_root
from latentia.metrics import label_classifier
from latentia.metrics.distribution import estimate_frechet_distance, frechet_distance
from latentia.metrics.label_classifier import FEATURE_COUNT, get_label_classifier
from latentia.metrics.sharpness import high_frequency_energy


def test_frechet_distance_of_gaussians_is_the_closed_form():
    """Of N(a, s^2 I) and N(b, t^2 I): |a - b|^2 + d (s - t)^2; with exactly these moments."""
    draw = torch.Generator().manual_seed(0)
    white = torch.randn(5000, 4, generator=draw, dtype=torch.float64)
    white -= white.mean(0)
    cov = white.T @ white / (len(white) - 1)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(cov)).T
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    found = frechet_distance(2.0 * white, 0.5 * white + shift)
    assert found == pytest.approx(shift.square().sum().item() + 4 * 1.5**2, rel=1e-6)
    assert frechet_distance(white, white) == pytest.approx(0.0, abs=1e-6)


def test_the_bootstrap_error_is_the_spread_over_fresh_sets():
    draw = torch.Generator().manual_seed(0)

    def fresh():
        return torch.randn(500, 3, generator=draw), torch.randn(500, 3, generator=draw) + 0.7

    spread = torch.tensor([frechet_distance(*fresh()) for _ in range(150)]).std().item()
    estimate = estimate_frechet_distance(*fresh(), resamples=150)
    assert estimate.n == (500, 500)
    assert 0.6 * spread < estimate.error < 1.6 * spread
    sets = fresh()
    assert estimate_frechet_distance(*sets, resamples=5) == estimate_frechet_distance(
        *sets, resamples=5
    )


def test_energy_of_all_frequencies_is_the_mean_square_and_a_wave_lies_where_it_should():
    images = torch.rand(3, 2, 12, 10, dtype=torch.float64)
    everything = high_frequency_energy(images, min_frequency=-1.0)
    torch.testing.assert_close(everything, images.square().mean((1, 2, 3)))
    x = torch.arange(16, dtype=torch.float64)
    for cycles, high in ((2, 0.0), (6, 0.5)):
        wave = torch.cos(2 * math.pi * cycles / 16 * x).expand(1, 1, 16, 16)
        assert high_frequency_energy(wave).item() == pytest.approx(high, abs=1e-12)


def test_a_classifier_learns_labels_and_numbers_and_is_read_from_the_cache(monkeypatch):
    monkeypatch.setattr(label_classifier, "MIN_STEPS", 300)
    images = open_images("digits", size=16, channels=1)
    model = get_label_classifier(images)
    split = images.split("test")
    batch = split.get_batch(slice(None))
    right = model.classify([batch.image]).argmax(1) == batch.columns["label"]
    assert right.double().mean() > 0.95
    share = right.double().mean()
    assert model.describe_accuracy(images) == f"label {share:.0%} right"
    told = model.extract_features([batch.image])
    assert told.shape == (len(split), FEATURE_COUNT)

    from latentia.training.loop import Loop

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(Loop, "train_step", never)
    torch.testing.assert_close(
        get_label_classifier(images).extract_features([batch.image]), told, rtol=0, atol=0
    )


def test_a_classifier_says_that_it_trains_and_ends_when_it_has_converged(monkeypatch, capsys):
    from latentia.core import progress
    from latentia.training.loop import Loop

    steps, train_step = [], Loop.train_step
    monkeypatch.setattr(progress, "INITIAL_DELAY", 1e-9)
    monkeypatch.setattr(Loop, "train_step", lambda *given: steps.append(None) or train_step(*given))
    images = open_images("digits:170", size=8, channels=1)
    model, split = get_label_classifier(images), images.split("train")
    batch = split.get_batch(slice(None))
    assert (model.classify([batch.image]).argmax(1) == batch.columns["label"]).all()
    assert len(steps) < label_classifier.MIN_STEPS // 2
    assert "training a classifier of the labels: images" in capsys.readouterr().err


def test_two_that_train_the_same_classifier_at_once_do_not_meet(monkeypatch):
    """The second begins and ends while the first trains; both keep the same one, whole."""
    images, plain, nested = (
        open_images("digits:150", size=8, channels=1),
        label_classifier.train,
        [],
    )
    monkeypatch.setattr(label_classifier, "MIN_STEPS", 20)

    def slowly(*given):
        if not nested:
            nested.append(None)  # so that the next one is not slow
            nested[0] = get_label_classifier(images)
        yield from plain(*given)

    monkeypatch.setattr(label_classifier, "train", slowly)
    first, weights = get_label_classifier(images), nested[0].state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in first.state_dict().items())


def test_a_classifier_that_was_stopped_is_not_kept(monkeypatch):
    images, plain = open_images("digits:160", size=8, channels=1), label_classifier.train
    monkeypatch.setattr(label_classifier, "MIN_STEPS", 20)
    stopped = lambda plan, run, options: iter([*islice(plain(plan, run, options), 3)])  # noqa: E731
    monkeypatch.setattr(label_classifier, "train", stopped)
    with pytest.raises(Error, match="label classifier was stopped; run the command again"):
        get_label_classifier(images)
    made = {path.parent for path in (cache_root() / "features").rglob("*.safetensors")}
    monkeypatch.setattr(label_classifier, "train", plain)
    get_label_classifier(images)
    assert (
        len({path.parent for path in (cache_root() / "features").rglob("*.safetensors")} - made)
        == 1
    )


def test_images_without_labels_have_no_classifier():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    with pytest.raises(Error, match="has no label columns to learn features from; sort the images"):
        get_label_classifier(open_images(pixels))
