"""The baseline of principal components equals scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from latentia.data import open_images
from latentia.metrics.pca import PixelPCA


@pytest.fixture(scope="module")
def images():
    return open_images("digits", size=16, channels=1)


@pytest.mark.parametrize("dims", [1, 8, 40])
def test_reconstructions_are_those_of_scikit_learn(images, dims):
    train, test = images.split("train"), images.split("test")
    x, y = (split[:].flatten(1).double().numpy() for split in (train, test))
    oracle = PCA(dims, svd_solver="full").fit(x)
    errors = np.square(oracle.inverse_transform(oracle.transform(y)) - y).mean(1)
    pca = PixelPCA(train, dims)
    np.testing.assert_allclose(pca.measure_mse(test[:]).numpy(), errors, atol=1e-6)
    covariances = [np.cov(z.T) for z in (pca.encode(test[:]).numpy(), oracle.transform(y))]
    np.testing.assert_allclose(*(np.trace(np.atleast_2d(c)) for c in covariances), rtol=1e-4)


def test_more_dimensions_than_images_leave_an_error_of_zero_on_them():
    split = open_images("digits:30", size=8, channels=1).split("train")
    pca = PixelPCA(split, 500)
    assert pca.dims == len(split) - 1
    assert pca.measure_mse(split[:]).max() < 1e-8


def test_the_callers_random_numbers_are_left_alone(images):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    PixelPCA(images.split("test"), 3)
    assert torch.equal(torch.rand(2), expected)
