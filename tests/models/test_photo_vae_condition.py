"""A label column that the latents of photo_vae leave out: laws of its closed form."""

import numpy as np
import pytest
import torch

import latentia
from latentia.core.modes import evaluation_mode
from latentia.nets.column_condition import use_columns

SHAPE, N = (3, 8, 10), 90
PARAMETERS = {"latent": 3, "width": 4, "batch": 15, "features": "none", "likelihood": "gaussian"}
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


@pytest.mark.parametrize("column", LABELS)
def test_what_labels_add_changes_no_coordinate(fit, column):
    plain, moved = (
        fit(images, column, cond=column)[2] for images in (IMAGES, IMAGES + ADDED[column])
    )
    assert plain.std(0).min() > 0.5
    torch.testing.assert_close(moved, plain, atol=2e-3, rtol=0)


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
        return max(group.abs().max() for group in groups) / features.std()

    before, after = measure(), measure(cond="plate")
    assert after < 0.3 * before
