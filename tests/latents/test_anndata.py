"""Tables for single-cell tools: what the .h5ad file holds, and the error without anndata."""

import sys

import numpy as np
import pytest
import torch

from latentia.core.errors import Error
from latentia.latents.clusters import add_clusters
from latentia.latents.encoding import encode_split
from latentia.latents.principal_axes import PrincipalAxes
from latentia.latents.table import collect_table, write_table


def test_an_h5ad_file_holds_the_table_by_key(model, part, tmp_path):
    anndata = pytest.importorskip("anndata")
    part = part.with_columns({"kind": torch.arange(40) % 2})
    part.classes["kind"] = ["odd", "even"]
    path = write_table(
        tmp_path / "z.h5ad",
        model,
        part,
        add_columns=lambda table: add_clusters(table, model.latent_shape, 3)[0],
    )
    data, table = anndata.read_h5ad(path), collect_table(model, part).to_pandas()
    assert list(data.obs_names) == list(table["key"])
    assert list(data.var_names) == ["mu_0", "mu_1", "mu_2", "mu_3"]
    np.testing.assert_array_equal(data.X, table[[f"mu_{k}" for k in range(4)]])
    np.testing.assert_array_equal(data.layers["sd"], table[[f"sd_{k}" for k in range(4)]])
    np.testing.assert_array_equal(data.obs["mse"], table["mse"])
    assert list(data.obs["kind"]) == ["odd", "even"] * 20
    assert list(data.obs["cluster"].cat.categories) == ["0", "1", "2"]
    assert not {*data.obs} & {*data.var_names, "sd_0", "key"}
    centred = data.X - data.X.mean(0)
    scales = np.linalg.svd(centred, compute_uv=False)[:2]  # of the first two components
    np.testing.assert_allclose(np.linalg.norm(data.obsm["X_pca"], axis=0), scales, rtol=1e-4)


def test_principal_coordinates_are_the_map(model, part, tmp_path):
    anndata = pytest.importorskip("anndata")
    axes = PrincipalAxes(model, encode_split(model, part))
    data = anndata.read_h5ad(write_table(tmp_path / "z.h5ad", model, part, axes=axes))
    expected = collect_table(model, part, axes=axes).to_pandas().filter(regex="^pc_")
    np.testing.assert_array_equal(data.obsm["X_pca"], expected)


def test_without_anndata_the_error_names_the_package(model, part, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    text = r'\.h5ad needs anndata; pip install "latentia\[h5ad\]", or give \.csv\.'
    with pytest.raises(Error, match=text):
        write_table(tmp_path / "z.h5ad", model, part)
    assert not list(tmp_path.glob("*.h5ad*"))
