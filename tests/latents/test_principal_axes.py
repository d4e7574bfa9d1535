"""Coordinates along the principal axes of the aggregate posterior."""

import numpy as np
import pytest
import torch

from latentia.core.contract import HasDecoder
from latentia.core.gaussian import DiagonalGaussian
from latentia.latents.encoding import LatentTable
from latentia.latents.principal_axes import CLOSED_FORM_NOTE, PrincipalAxes, find_principal_axes
from latentia.latents.traversal import traverse_dims

DRAW = np.random.default_rng(0)
ROTATION = np.linalg.qr(DRAW.normal(size=(3, 3)))[0]


class Identity:
    """Images (b, 1, 1, 3) are the means; the standard deviations differ by dimension."""

    latent_shape = (1, 3)

    def encode(self, images):
        mean = images[:, 0]
        return DiagonalGaussian(mean, torch.tensor([0.1, 0.2, 0.3]).log().mul(2).expand_as(mean))

    def decode(self, z):
        return z[:, None]


@pytest.fixture
def table():
    mean = DRAW.normal(size=(4000, 3)) * [5.0, 2.0, 0.5] @ ROTATION.T + 1
    return LatentTable(mean.astype("f4"), np.full((4000, 3), 0.1, "f4"), None)


def test_axes_are_those_of_a_planted_covariance(table):
    axes = PrincipalAxes(Identity(), table)
    assert isinstance(axes, HasDecoder)
    assert np.abs(np.sum(axes.axes.numpy() * ROTATION, 0)) == pytest.approx(1, abs=2e-3)
    assert (axes.axes.max(0).values == axes.axes.abs().max(0).values).all()
    z, _ = axes.rotate(torch.from_numpy(table.mean), None)
    covariance = np.cov(z.numpy().T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    np.testing.assert_allclose(np.diag(covariance), [25, 4, 0.25], rtol=0.1)


def test_a_traversal_moves_along_the_planted_direction(table):
    axes = PrincipalAxes(Identity(), table)
    image = torch.tensor([[[[1.0, -2.0, 0.5]]]])
    rotated = axes.rotate_table(table)
    mean, _ = axes.rotate(image[:, 0], None)
    walk = traverse_dims(axes, image, rotated, [1], steps=5, mean=mean)
    steps = walk.images[0, 1:] - walk.images[0, :-1]
    direction = steps.flatten(1) / steps.flatten(1).norm(dim=1, keepdim=True)
    expected = torch.from_numpy(ROTATION[:, 1].astype("f4"))
    assert (direction @ expected).abs().min() > 0.999
    torch.testing.assert_close(walk.reconstruction, image)


def test_decoded_images_are_those_of_the_model_and_variances_rotate(table):
    model, images = Identity(), torch.randn(7, 1, 1, 3)
    axes = PrincipalAxes(model, table)
    posterior = model.encode(images)
    mean, sd = axes.rotate(posterior.mean, posterior.sd)
    torch.testing.assert_close(axes.decode(mean), images)
    own = torch.diag(torch.tensor([0.01, 0.04, 0.09]))
    expected = torch.diagonal(axes.axes.T @ own @ axes.axes).sqrt()
    torch.testing.assert_close(sd, expected.expand(7, 3))


def test_those_of_whitened_principal_components_are_the_dimensions_themselves(table, capsys):
    """Variances of 1 define no axes: any rotation of the sample is as good."""
    model = Identity()
    assert not find_principal_axes(model, table).is_own
    assert capsys.readouterr().err == ""
    model.starts_fitted = True
    axes, images = find_principal_axes(model, table), torch.randn(7, 1, 1, 3)
    assert capsys.readouterr().err == CLOSED_FORM_NOTE + "\n"
    assert axes.rotate_table(table) is table
    assert torch.equal(axes.rotate(images[:, 0], None)[0], images.flatten(1))
    assert torch.equal(axes.decode(images.flatten(1)), images)
