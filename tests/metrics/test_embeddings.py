"""Features by name: the ones that were asked for, or an error that says what to do."""

import builtins
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from latentia.core.errors import Error
from latentia.data import open_images
from latentia.metrics.features import DINO_MODEL, make_extractor

DRAW = np.random.default_rng(0)


@pytest.fixture
def bare():
    return open_images(DRAW.integers(0, 256, (20, 40, 24), dtype=np.uint8))


def test_auto_is_the_classifier_where_there_are_labels_and_pixels_elsewhere(bare, monkeypatch):
    assert make_extractor("auto", bare).name == "pixels"
    judge = types.SimpleNamespace(
        extract_features=lambda batches: None, describe_accuracy=lambda images: "label 7% right"
    )
    monkeypatch.setattr("latentia.metrics.features.get_label_classifier", lambda images: judge)
    found = make_extractor("auto", open_images("digits", size=16, channels=1))
    assert (found.name, found.note) == ("classifier", "label 7% right")
    monkeypatch.undo()
    with pytest.raises(Error, match="has no label columns"):
        make_extractor("classifier", bare)


def test_pixels_are_means_over_areas(bare):
    images = torch.rand(5, 1, 32, 16)
    found = make_extractor("pixels", bare).extract(images.split(2))
    assert found.shape == (5, 16 * 16)
    torch.testing.assert_close(found[:, 0], images[:, 0, :2, 0].mean(1))
    torch.testing.assert_close(found.mean(1), images.mean((1, 2, 3)))
    small = torch.rand(3, 2, 4, 3)
    assert torch.equal(make_extractor("pixels", bare_of(4, 3)).extract([small]), small.flatten(1))


def bare_of(h, w):
    return open_images(DRAW.integers(0, 256, (20, h, w), dtype=np.uint8))


def test_there_are_no_others(bare):
    with pytest.raises(Error, match="There are no features dinov3; did you mean dinov2") as said:
        make_extractor("dinov3", bare)
    assert "takes auto, classifier, pixels, efficientnet, inception, dinov2." in str(said.value)


def hidden(monkeypatch, package):
    real = builtins.__import__

    def fake(name, *rest):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fake)


@pytest.mark.parametrize(
    ("name", "package"), [("inception", "torch-fidelity"), ("dinov2", "transformers")]
)
def test_what_is_not_installed_is_said_and_nothing_stands_in(bare, monkeypatch, name, package):
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)
    hidden(monkeypatch, "transformers")
    with pytest.raises(Error) as said:
        make_extractor(name, bare)
    assert f"--features {name} needs {package}, which is not installed; pip" in str(said.value)


class Model(nn.Module):
    """Stands for DINOv2: it keeps what it was shown."""

    def forward(self, pixel_values):
        self.seen = pixel_values
        tokens = torch.zeros(len(pixel_values), 5, 3)
        tokens[:, 0] = pixel_values.mean((2, 3))
        return types.SimpleNamespace(last_hidden_state=tokens)


def stand_in(monkeypatch, found):
    def from_pretrained(name):
        assert name == DINO_MODEL
        if isinstance(found, Exception):
            raise found
        return found

    auto = types.SimpleNamespace(from_pretrained=from_pretrained)
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(AutoModel=auto))


def test_weights_that_cannot_be_had_are_said(bare, monkeypatch):
    stand_in(monkeypatch, OSError("no connection"))
    with pytest.raises(Error, match="transformers, which has no weights here; pip install"):
        make_extractor("dinov2", bare)


def test_dinov2_sees_colour_at_its_size_standardised_and_its_class_token_is_taken(
    bare, monkeypatch
):
    network = Model()
    stand_in(monkeypatch, network)
    grey = torch.full((3, 1, 30, 20), 0.485)
    found = make_extractor("dinov2", bare).extract([grey])
    assert network.seen.shape == (3, 3, 224, 224)
    assert not network.training
    expected = (0.485 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(found, expected.expand(3, 3), atol=1e-5, rtol=0)


def test_inception_sees_bytes_in_colour(bare, monkeypatch):
    seen = []

    def network(name, layers):
        assert (name, layers) == ("inception-v3-compat", ["2048"])
        return lambda x: seen.append(x) or x.float().mean((2, 3))

    monkeypatch.setattr("torchmetrics.image.fid.NoTrainInceptionV3", network)
    found = make_extractor("inception", bare).extract([torch.full((2, 1, 9, 9), 0.5)])
    assert seen[0].dtype == torch.uint8
    assert torch.equal(found, torch.full((2, 3), 128.0))
