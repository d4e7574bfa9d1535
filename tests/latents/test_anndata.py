"""Tables for single-cell tools: what the .h5ad file holds, and the error without anndata."""

import sys
from contextlib import nullcontext
from types import SimpleNamespace

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


@pytest.fixture
def written(monkeypatch):
    """What is written, where anndata need not be installed: (options of the file, AnnData)."""
    files = []

    def make(x, obs, var, layers):
        return SimpleNamespace(x=x, obs=obs, obsm={})

    def open_file(path, mode, **options):
        return nullcontext(options)

    def write(file, name, data):
        files.append((file, data))

    for name, content in {
        "anndata": SimpleNamespace(AnnData=make),
        "anndata.io": SimpleNamespace(write_elem=write),
        "h5py": SimpleNamespace(File=open_file),
    }.items():
        monkeypatch.setitem(sys.modules, name, content)
    return files


def test_hdf5_does_not_lock_a_file_that_is_locked_already(model, part, tmp_path, written):
    write_table(tmp_path / "z.h5ad", model, part)
    assert written[0][0] == {"locking": False}


def test_text_is_a_category_and_a_missing_class_none(model, part, tmp_path, written):
    part = part.with_columns({"kind": torch.arange(40) % 3 - 1, "pc_kind": torch.arange(40) % 2})
    part.classes.update({"kind": ["b", "é"], "pc_kind": ["u", "v"]})
    write_table(tmp_path / "z.h5ad", model, part)
    obs = written[0][1].obs
    assert list(obs["kind"].cat.categories) == ["b", "é"]
    assert obs["kind"].isna().sum() == 14
    assert list(obs["pc_kind_label"][:2]) == ["u", "v"]
    assert written[0][1].obsm["X_pca"].dtype == np.float32  # no label is a coordinate


def test_groups_are_in_the_order_of_their_numbers(model, part, tmp_path, written):
    def group_images(table):
        return add_clusters(table, model.latent_shape, 12)[0]

    write_table(tmp_path / "z.h5ad", model, part, add_columns=group_images)
    assert list(written[0][1].obs["cluster"].cat.categories) == [str(k) for k in range(12)]


def test_a_column_has_a_name_that_hdf5_takes(model, part, tmp_path, written):
    names = ["a", "a/b", "a_b", "_index", ".", "ünï ☃"]
    part = part.with_columns({name: torch.arange(40) for name in names})
    write_table(tmp_path / "z.h5ad", model, part)
    columns = list(written[0][1].obs)
    assert columns[-6:] == ["a", "a_b_label", "a_b", "_index_label", "._label", "ünï ☃"]


def test_without_anndata_the_error_names_the_package(model, part, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    text = r'\.h5ad needs anndata; pip install "latentia\[h5ad\]", or give \.csv\.'
    with pytest.raises(Error, match=text):
        write_table(tmp_path / "z.h5ad", model, part)
    assert not list(tmp_path.glob("*.h5ad*"))
