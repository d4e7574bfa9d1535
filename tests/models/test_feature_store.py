"""Features are computed once, and never mixed between networks."""

import pytest
import torch
from torch import nn

from latentia.models import pretrained_features
from latentia.models.feature_store import FeatureStore, hash_weights, make_keys
from latentia.models.pretrained_features import extract_features, load_network


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path))


@pytest.fixture
def count(monkeypatch):
    """Numbers of images that the network looked at."""
    counts, original = [], pretrained_features._extract_batch

    def counted(images, network):
        counts.append(len(images))
        return original(images, network)

    monkeypatch.setattr(pretrained_features, "_extract_batch", counted)
    return counts


def test_an_image_is_looked_at_once(count):
    images = torch.rand(5, 3, 16, 16)
    features = extract_features(images)
    assert torch.equal(extract_features(images.flip(0)), features.flip(0))
    assert torch.equal(extract_features(images[2:3]), features[2:3])
    assert count == [5]
    assert torch.equal(features.half().float(), features)
    extract_features(images + torch.tensor(1e-3))
    assert count == [5, 5]


def test_equal_images_in_one_batch_have_equal_features():
    images = torch.rand(2, 1, 8, 8)[[0, 1, 0]]
    features = extract_features(images)
    assert torch.equal(features[0], features[2])
    assert not torch.equal(features[0], features[1])


def test_a_broken_file_or_a_folder_that_cannot_be_written_costs_time_alone(count, tmp_path):
    images = torch.rand(2, 3, 16, 16)
    features = extract_features(images)
    (path,) = (tmp_path / "features").iterdir()
    path.write_bytes(b"no database" * 100)
    assert torch.equal(extract_features(images), features)
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file", encoding="utf-8")
    assert torch.equal(extract_features(images), features)
    assert count == [2, 2, 2]


def test_the_published_weights_are_hashed_once(monkeypatch):
    extract_features(torch.rand(1, 3, 16, 16))
    monkeypatch.setattr(pretrained_features, "hash_weights", None)  # is called no more
    assert extract_features(torch.rand(70, 3, 16, 16)).shape == (70, 1280)


def test_another_network_has_a_store_of_its_own():
    layer = nn.Linear(2, 2)
    store, keys = FeatureStore(hash_weights(layer)), make_keys(torch.rand(2, 1, 2, 2))
    store.save(keys, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert store.load(keys)[keys[1]].tolist() == [3.0, 4.0]
    with torch.no_grad():
        layer.weight[0, 0] += 1e-6
    assert FeatureStore(hash_weights(layer)).load(keys) == {}
    assert FeatureStore(hash_weights(load_network())).path != store.path
    with torch.no_grad():
        layer.weight.zero_()
        path = FeatureStore(hash_weights(layer)).path
        layer.weight.neg_()
    assert FeatureStore(hash_weights(layer)).path == path


def test_shapes_are_part_of_the_key():
    pixels = torch.arange(12.0)
    assert make_keys(pixels.view(1, 3, 2, 2)) != make_keys(pixels.view(1, 3, 1, 4))
