"""The closed form: probabilistic PCA, of pixels alone and of pixels and features."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from latentia.models.joint_pca import choose_weight, find_axes, fit_feature_axes, fit_joint_pca


@pytest.fixture(scope="module")
def rows():
    """400 rows of 30 pixels and 8 features; half of the features' directions are in the pixels."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(400, 6)) * [4, 3, 2, 2, 1, 1]
    pixels = hidden @ rng.normal(size=(6, 30)) + 0.3 * rng.normal(size=(400, 30)) + 5
    features = hidden[:, 4:] @ rng.normal(size=(2, 8)) + rng.normal(size=(400, 8))
    return torch.from_numpy(pixels), torch.from_numpy(features - features.mean(0))


def test_pixels_alone_have_the_covariance_of_probabilistic_pca(rows):
    pixels, features = rows
    form = fit_joint_pca(pixels, features[:, :0], 6)
    pca = PCA(6).fit(pixels.numpy())
    covariance = form.decode_pixels.T @ form.decode_pixels + form.sigma**2 * torch.eye(30)
    # scikit-learn divides by n - 1
    np.testing.assert_allclose(covariance, pca.get_covariance() * 399 / 400, rtol=1e-6, atol=1e-8)


def test_the_encoder_is_the_posterior_of_the_linear_model(rows):
    pixels, features = rows
    form = fit_joint_pca(pixels, features * 2, 5)
    units = torch.cat(
        [form.decode_pixels / form.sigma, find_feature_map(form, pixels, features)], 1
    )
    precision = torch.eye(5) + units @ units.T  # Tipping & Bishop 1999, equation 6
    variances, _ = precision.inverse().diagonal().sort()
    torch.testing.assert_close(precision - precision.diagonal().diag(), torch.zeros(5, 5).double())
    torch.testing.assert_close(form.logvar.exp().sort()[0], variances)
    data = torch.cat([(pixels - pixels.mean(0)) / form.sigma, features * 2], 1)
    means = data @ units.T @ precision.inverse()
    encoded = (pixels - pixels.mean(0)) @ form.encode_pixels + features * 2 @ form.encode_features
    torch.testing.assert_close(encoded, means)


def find_feature_map(form, pixels, features):
    """The decoder of the features, from encoder and variances: W = V (w - 1)^(1/2)."""
    variances = (-form.logvar).exp()
    return (form.encode_features * variances).T


def test_latents_of_the_training_images_have_variance_one_in_all(rows):
    pixels, features = rows
    form = fit_joint_pca(pixels, features, 5)
    means = (pixels - pixels.mean(0)) @ form.encode_pixels + features @ form.encode_features
    between = means.square().mean(0)
    torch.testing.assert_close(between + form.logvar.exp(), torch.ones(5).double())


def test_a_larger_weight_costs_pixels_and_gains_features(rows):
    pixels, features = rows
    errors, explained = [], []
    for weight in (0, 0.1, 1, 10, 100):
        form = fit_joint_pca(pixels, features * weight**0.5, 4)
        errors.append(form.measure_mse(pixels, features * weight**0.5).item())
        z = (pixels - pixels.mean(0)) @ form.encode_pixels
        z = z + features * weight**0.5 @ form.encode_features
        fit = torch.linalg.lstsq(z, features)
        explained.append((features - z @ fit.solution).square().mean().item())
    assert errors == sorted(errors)
    assert explained == sorted(explained, reverse=True)
    assert errors[-1] > 1.05 * errors[0]


def test_the_chosen_weight_keeps_the_pixels_error_below_the_limit(rows):
    pixels, features = rows
    lowest = fit_joint_pca(pixels, features * 0, 4).measure_mse(pixels, features * 0)
    weight = choose_weight(pixels, features, 4)
    for factor, is_within in ((1, True), (1.1, False)):
        scaled = features * (factor * weight) ** 0.5
        mse = fit_joint_pca(pixels, scaled, 4).measure_mse(pixels, scaled)
        assert (mse <= 1.151 * lowest) == is_within


def test_noise_of_draws_is_what_the_formula_says(rows):
    pixels, features = rows
    form = fit_joint_pca(pixels, features, 5)
    means = (pixels - pixels.mean(0)) @ form.encode_pixels + features @ form.encode_features
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(200, *means.shape, generator=rng, dtype=torch.float64)
    error = (means + noise * (form.logvar / 2).exp()) @ form.decode_pixels - pixels + pixels.mean(0)
    expected = form.measure_mse(pixels, features) + form.measure_noise()
    torch.testing.assert_close(error.square().mean(), expected, rtol=5e-3, atol=0)


def test_more_dimensions_than_images_carry_nothing():
    pixels = torch.rand(5, 12, dtype=torch.float64)
    form = fit_joint_pca(pixels, pixels[:, :0], 9)
    assert form.logvar[5:].abs().max() == 0
    assert form.encode_pixels[:, 5:].abs().max() == 0
    assert form.decode_pixels.isfinite().all()


def test_axes_are_those_of_scikit_learn_with_a_fixed_sign():
    rows = torch.randn(300, 20, dtype=torch.float64) * torch.linspace(1, 5, 20)
    rows = rows - rows.mean(0)
    found, pca = find_axes(rows, 3), PCA(3).fit(rows.numpy())
    np.testing.assert_allclose(found.variances, pca.explained_variance_ * 299 / 300, rtol=1e-8)
    overlap = np.abs(np.diag(found.axes.T.numpy() @ pca.components_.T))
    np.testing.assert_allclose(overlap, 1, atol=1e-6)
    assert (found.axes.gather(0, found.axes.abs().argmax(0, keepdim=True)) > 0).all()


def test_features_are_scaled_to_a_mean_variance_of_one():
    features = torch.randn(500, 40, dtype=torch.float64) * torch.linspace(1, 9, 40) + 3
    axes = fit_feature_axes(features, 10)
    projected = (features - axes.mean) @ axes.projection
    torch.testing.assert_close(projected.var(0, correction=0).mean(), torch.tensor(1.0).double())
    few = fit_feature_axes(features[:4], 10)
    assert few.projection[:, 4:].abs().max() == 0
