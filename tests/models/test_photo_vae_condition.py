"""A label column that the latents of photo_vae leave out: laws of its closed form."""

import math

import numpy as np
import pytest
import torch

import latentia
from latentia.core.modes import evaluation_mode
from latentia.nets.column_condition import ColumnCondition, use_columns
from latentia.nets.label_effect import LabelEffect

SHAPE, N = (3, 8, 10), 90
PARAMETERS = {"latent": 3, "width": 4, "batch": 15, "features": "none", "likelihood": "gaussian"}
AUGMENT = "none", "flip,shift"
LIMITS = {"atol": 0.02, "rtol": 0.01}
rng = np.random.default_rng(1)
PATTERNS = rng.normal(size=(3, *SHAPE))
IMAGES = 0.5 + 0.05 * np.einsum("nk,kchw->nchw", rng.normal(size=(N, 3)), PATTERNS)
LABELS = {"plate": rng.integers(0, 3, N), "dose": rng.uniform(-1, 1, N).astype(np.float32)}
# what the label of each image adds to it
ADDED = {
    "plate": rng.uniform(-0.1, 0.1, (3, *SHAPE))[LABELS["plate"]],
    "dose": LABELS["dose"][:, None, None, None] * rng.uniform(-0.1, 0.1, SHAPE),
}


@pytest.fixture
def fit(tmp_path):
    """A run whose training changes nothing, its training images, and their latents."""

    def make(images, column, **parameters):
        run = latentia.train(
            "photo_vae",
            (0.25 + images / 2).astype(np.float32),
            labels={column: LABELS[column]},
            run=tmp_path / f"run-{len(list(tmp_path.iterdir()))}",
            options=latentia.Options(validation=0.1),
            **PARAMETERS | {"epochs": 1, "lr": 1e-12, "progress": False} | parameters,
        )
        split = run.images.split("train")
        batch = split.get_batch(torch.arange(len(split)))
        with evaluation_mode(run.model), torch.no_grad(), use_columns(run.model, batch.columns):
            return run.model, batch, run.model.encode(batch.image).mean

    return make


@pytest.mark.parametrize("augment", AUGMENT)
@pytest.mark.parametrize("column", LABELS)
def test_what_labels_add_changes_no_coordinate(fit, column, augment):
    """But that the mean image changes, which differs from its mirror image.

    Distances between images are compared: mirrored patterns have axes of equal variances.
    """
    parameters = {"cond": column, "augment": augment, "latent": 3 if augment == "none" else 6}
    _, batch, moved = fit(IMAGES + ADDED[column], column, **parameters)
    pixels = torch.from_numpy(0.25 + (IMAGES + ADDED[column]) / 2).float()
    is_training = (pixels[:, None] == batch.image[None]).flatten(2).all(2).any(1)
    assert is_training.sum() == len(batch.image)
    plain = fit(IMAGES + ADDED[column][is_training].mean(0), column, **parameters)[2]
    assert plain.std(0).min() > 0.5
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(plain, plain), **LIMITS)


@pytest.mark.parametrize("column", LABELS)
def test_latents_have_no_correlation_with_the_label(fit, column):
    images = IMAGES + ADDED[column]

    def measure(**parameters):
        _, batch, z = fit(images, column, **parameters)
        labels = batch.columns[column]
        rows = torch.nn.functional.one_hot(labels).float() if column == "plate" else labels[:, None]
        return ((rows - rows.mean(0)).T @ z / len(z)).abs().max()

    assert measure() > 0.1
    assert measure(cond=column) < 1e-4
    assert measure(cond=column, augment="flip,shift") < 1e-4


def test_all_images_count_though_the_axes_come_from_a_sample(fit, monkeypatch):
    monkeypatch.setattr("latentia.models.photo_vae.MAX_VALUES", 30 * math.prod(SHAPE))
    _, batch, z = fit(IMAGES + ADDED["plate"], "plate", cond="plate")
    groups = [z[batch.columns["plate"] == label].mean(0) for label in range(3)]
    assert (torch.stack(groups) - z.mean(0)).abs().max() < 1e-3


@pytest.mark.parametrize("column", LABELS)
def test_missing_pixels_take_no_part_in_what_labels_add(column):
    n_classes = 3 if column == "plate" else 0
    condition = ColumnCondition(column, n_classes)
    values = torch.from_numpy(LABELS[column])
    condition.fit(values)
    labels = condition.encode(values)
    pixels = torch.from_numpy(IMAGES + ADDED[column]).flatten(1).float()
    holes = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    effect = LabelEffect(condition, pixels.shape[1])
    residuals = effect.separate(labels, pixels.masked_fill(holes, torch.nan))
    assert torch.equal(residuals.isnan(), holes)
    known = (~holes).double()
    values = residuals.nan_to_num(0.0).double()
    deviations = (values - values.sum(0) / known.sum(0)) * known
    assert (labels.T.double() @ deviations / known.sum(0)).abs().max() < 1e-6


def test_another_label_adds_the_difference_of_the_mean_images(fit):
    model, batch, z = fit(IMAGES + ADDED["plate"], "plate", cond="plate")
    decoded = []
    with evaluation_mode(model), torch.no_grad():
        for label in (0, 1):
            with use_columns(model, batch.columns, torch.tensor([label])):
                decoded.append(model.decode(z))
    first, second = (batch.image[batch.columns["plate"] == label].mean(0) for label in (0, 1))
    assert (second - first).abs().max() > 0.05
    expected = (second - first).expand(len(z), *SHAPE)
    torch.testing.assert_close(decoded[1] - decoded[0], expected, atol=1e-3, rtol=0)


def test_features_leave_the_label_out_too(fit):
    images = IMAGES + ADDED["plate"]

    def measure(**parameters):
        model, batch, _ = fit(
            images, "plate", features="efficientnet", augment="flip", **parameters
        )
        with evaluation_mode(model), torch.no_grad(), use_columns(model, batch.columns):
            features = model.read_features(batch.image)
        groups = [features[batch.columns["plate"] == label].mean(0) for label in range(3)]
        return max((group - features.mean(0)).abs().max() for group in groups) / features.std()

    before, after = measure(), measure(cond="plate")
    assert after < 1e-3 * before
