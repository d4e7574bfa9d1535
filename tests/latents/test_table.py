"""Tables: their order, their names, their numbers, their bytes."""

import shutil
import unicodedata
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pyarrow import csv

from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.data import open_images
from latentia.latents.table import write_table


def read(path):
    """column -> values, of any kind of table."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pydict()
    if path.suffix == ".csv":
        return csv.read_csv(path).to_pydict()
    with np.load(path, allow_pickle=False) as arrays:
        found = dict(arrays)
    for name in ("mu", "sd"):
        values = found.pop(name)
        found |= {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
    return {name: values.tolist() for name, values in found.items()}


def test_rows_are_the_sorted_listing_and_hold_each_images_own_numbers(model, folder, tmp_path):
    part = open_images(str(folder)).split("all")
    rows = read(write_table(tmp_path / "t.parquet", model, part))
    names = sorted(
        unicodedata.normalize("NFC", p.relative_to(folder).as_posix())
        for p in folder.rglob("*.png")
    )
    assert rows["key"] == names
    assert len(names) == 40
    for k in (0, 3, 17, 39):
        pixels = np.asarray(Image.open(folder / names[k])).astype(np.float32) / 255
        image = torch.from_numpy(pixels)[None, None]
        posterior = model.encode(image)
        for d in range(4):
            assert rows[f"mu_{d}"][k] == pytest.approx(posterior.mean[0, d].item(), abs=1e-5)
            assert rows[f"sd_{d}"][k] == pytest.approx(posterior.sd[0, d].item(), abs=1e-5)
        normal = torch.distributions.Normal(posterior.mean, posterior.sd)
        rate = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0, 1)).sum()
        assert rows["rate"][k] == pytest.approx(rate.item(), rel=1e-5)
        drawn = torch.distributions.Bernoulli(
            logits=model.decoder(posterior.mean), validate_args=False
        )
        assert rows["distortion"][k] == pytest.approx(-drawn.log_prob(image).sum().item(), rel=1e-5)


def test_one_table_whatever_order_the_file_system_gives(model, folder, tmp_path):
    """Copied backwards, and with names decomposed as macOS writes them."""
    copy = tmp_path / "copy"
    for path in sorted(folder.rglob("*.png"), reverse=True):
        name = unicodedata.normalize("NFD", path.relative_to(folder).as_posix())
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / name)
    first, second = (
        write_table(tmp_path / f"{k}.csv", model, open_images(str(where)).split("all"))
        for k, where in enumerate((folder, copy))
    )
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("size", [1, 7, 40])
def test_values_do_not_depend_on_the_batch(model, part, tmp_path, size, monkeypatch):
    whole = read(write_table(tmp_path / "a.npz", model, part))
    monkeypatch.setattr("latentia.latents.table.MAX_BATCH_SIZE", size)
    parts = read(write_table(tmp_path / "b.npz", model, part))
    for name in set(whole) - {"key", "split", "encoder"}:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz", "tsv"])
def test_the_same_bytes_twice_at_any_time(model, part, tmp_path, kind, monkeypatch):
    first = write_table(tmp_path / f"a.{kind}", model, part).read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)  # a zip holds times
    torch.manual_seed(7)
    assert write_table(tmp_path / f"b.{kind}", model, part).read_bytes() == first


def test_three_kinds_of_file_hold_the_same_numbers(model, part, tmp_path, monkeypatch):
    monkeypatch.setattr("latentia.latents.writers.ROW_GROUP_SIZE", 16)  # several row groups
    columns = {
        **part.columns,
        "rate": torch.arange(40),  # a label that is called like a column of the table
        "size": torch.linspace(0, 1, 40),
        "token_n": torch.arange(40) % 3,  # begins as columns of a table do
        "sd_of_size": torch.linspace(0, 1, 40),
        "kind": torch.arange(40) % 2,
    }
    numbers = dict.fromkeys(("rate", "size", "token_n", "sd_of_size"))
    classes = {**part.classes, **numbers, "kind": ["old", "ne,w"]}
    part = type(part)(**{**vars(part), "columns": columns, "classes": classes})
    monkeypatch.setattr("latentia.latents.table.MAX_BATCH_SIZE", 5)
    paths = [tmp_path / f"t.{kind}" for kind in ("parquet", "csv", "npz")]
    found = [read(write_table(path, model, part)) for path in paths]
    for other in found[1:]:
        assert set(other) == set(found[0])
        for name, values in found[0].items():
            same = np.asarray(other[name], np.asarray(values).dtype)
            if same.dtype.kind == "f":
                same, values = same.astype(np.float32), np.float32(values)
            np.testing.assert_array_equal(same, values, err_msg=name)
    assert found[0]["kind"][:2] == ["old", "ne,w"]
    assert found[0]["kind_code"][:2] == [0, 1]
    assert found[0]["rate_label"] == list(range(40))
    assert (
        pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 3
    )  # of 15 rows at most: 3 batches
    assert str(pq.read_schema(tmp_path / "t.parquet").field("mu_0").type) == "float"


def test_maps_of_latents_are_named_by_channel_row_and_column(part, tmp_path):
    class Maps:
        latent_shape = (2, 1, 3)

        def encode(self, images):
            mean = torch.arange(6.0).view(1, 2, 1, 3).expand(len(images), -1, -1, -1)
            return DiagonalGaussian(mean, torch.zeros_like(mean))

        def decode(self, z):
            return torch.zeros(len(z), 1, 8, 6)

        def distortion(self, z, images):
            return torch.zeros(len(z))

        def score_latents(self, z, images):
            return {"distortion": self.distortion(z, images), "mse": torch.zeros(len(z))}

    rows = read(write_table(tmp_path / "t.csv", Maps(), part))
    assert rows["mu_1_0_2"][0] == 5.0
    assert next(name for name in rows if name.startswith("sd")) == "sd_0_0_0"
    write_table(tmp_path / "t.npz", Maps(), part)
    assert np.load(tmp_path / "t.npz")["mu"].shape == (40, 2, 1, 3)


def test_thumbnails_show_each_image_and_its_place_on_the_map(model, part, tmp_path, monkeypatch):
    monkeypatch.setattr("latentia.latents.table.MAX_BATCH_SIZE", 9)
    path = write_table(tmp_path / "t.parquet", model, part, thumbnails=True)
    rows = read(path)
    mu = np.stack([rows[f"mu_{k}"] for k in range(4)], 1)
    np.testing.assert_array_equal(np.asarray(rows["mu"]), mu)
    with open(tmp_path / "image.png", "wb") as file:
        file.write(rows["image"][11])
    shown = np.asarray(Image.open(tmp_path / "image.png"))
    np.testing.assert_array_equal(shown, (part.get_batch(slice(11, 12)).image[0, 0] * 255).round())
    centred = mu - mu.mean(0)
    largest = np.linalg.svd(centred, compute_uv=False)[:2]
    at = np.stack([rows["x"], rows["y"]], 1)
    np.testing.assert_allclose(np.linalg.norm(at, axis=0), largest, rtol=1e-4)
    again = write_table(tmp_path / "u.parquet", model, part, thumbnails=True)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz", "tsv"])
@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_table_leaves_nothing(model, part, tmp_path, kind, problem, monkeypatch):
    calls = []

    def encode(images):
        calls.append(len(images))
        if len(calls) == 3:
            raise problem
        return type(model).encode(model, images)

    monkeypatch.setattr(model, "encode", encode)
    monkeypatch.setattr("latentia.latents.writers.ROW_GROUP_SIZE", 4)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"t.{kind}").write_text("the table of last week")
    monkeypatch.setattr("latentia.latents.table.MAX_BATCH_SIZE", 5)
    with pytest.raises(problem):
        write_table(tmp_path / "out" / f"t.{kind}", model, part)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [f"t.{kind}"]
    assert (tmp_path / "out" / f"t.{kind}").read_text() == "the table of last week"


def test_a_zip_holds_no_time(model, part, tmp_path):
    with zipfile.ZipFile(write_table(tmp_path / "t.npz", model, part)) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_paths_that_will_not_do(model, part, tmp_path):
    for out, more, said in (
        ("t.xlsx", {}, "t.xlsx ends in .xlsx; give .parquet, .csv or .npz, or .tsv for T"),
        ("t", {}, "ends in nothing; give"),
        ("t.csv", {"thumbnails": True}, "--thumbnails does not fit into .csv"),
    ):
        with pytest.raises(Error, match=said):
            write_table(tmp_path / out, model, part, **more)
    (tmp_path / "file").touch()
    with pytest.raises(Error, match=r"cannot be written .*; give another --out"):
        write_table(tmp_path / "file" / "t.csv", model, part)
