"""The embedding projector's files: the order of the vectors, and that TensorBoard reads them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.latents.projector import make_sprite
from latentia.latents.table import write_table


@pytest.fixture
def labelled(part):
    """With a label column whose names hold what separates cells and rows."""
    names = ["a\tb", "c\nd", 'e "f"']
    return replace(part, columns={"kind": torch.arange(40) % 3}, classes={"kind": names})


def read_rows(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_rows_agree_in_number_and_order(model, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("latentia.latents.table.MAX_BATCH_SIZE", 7)
    path = write_table(tmp_path / "out" / "v.tsv", model, labelled)
    vectors = np.array(read_rows(path), np.float32)
    expected = model.encode(labelled[:]).mean
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)
    header, *rows = read_rows(tmp_path / "out" / "v_metadata.tsv")
    assert header == [
        *("key", "split", "rate", "distortion", "excess", "mse", "encoder", "kind", "kind_code")
    ]
    assert [row[0] for row in rows] == labelled.keys
    assert [row[7] for row in rows[:4]] == ["a b", "c d", 'e "f"', "a b"]
    assert {len(row) for row in rows} == {9}
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "projector_config.pbtxt", "v.tsv", "v_metadata.tsv", "v_sprite.png",
    ]  # fmt: skip


def test_cell_k_of_the_sprite_shows_image_k(model, part, tmp_path):
    write_table(tmp_path / "v.tsv", model, part)
    with Image.open(tmp_path / "v_sprite.png") as picture:
        sprite = np.asarray(picture.convert("L"))
    assert sprite.shape == (7 * 8, 7 * 6)  # 40 images in a square of 7 x 7
    for k in range(40):
        top, left = k // 7 * 8, k % 7 * 6
        cell = sprite[top : top + 8, left : left + 6]
        np.testing.assert_array_equal(cell, (part[k : k + 1][0, 0] * 255).round())


def test_a_sprite_stays_within_its_limit(part, monkeypatch):
    monkeypatch.setattr("latentia.latents.projector.MAX_SPRITE_SIDE", 30)
    sprite, cell = make_sprite(part)
    assert cell == (3, 4)  # 30 / 7 pixels for 8 high, and the same scale for 6 wide
    assert sprite.size == (7 * 3, 7 * 4)
    assert max(sprite.size) <= 30


def test_tensorboard_reads_all_tables_of_a_folder(model, part, tmp_path):
    projector = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    from google.protobuf import text_format

    for name in ("v", 'odd "é"', "v"):  # the third replaces the first
        write_table(tmp_path / f"{name}.tsv", model, part)
    text = (tmp_path / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector.ProjectorConfig())
    assert [each.tensor_path for each in config.embeddings] == ['odd "é".tsv', "v.tsv"]
    for each in config.embeddings:
        assert projector._read_tensor_tsv_file(str(tmp_path / each.tensor_path)).shape == (40, 4)
        assert (tmp_path / each.metadata_path).exists()
        assert list(each.sprite.single_image_dim) == [6, 8]
        assert (tmp_path / each.sprite.image_path).exists()


def test_thumbnails_are_of_parquet_files_only(model, part, tmp_path):
    with pytest.raises(
        Error, match=r"--thumbnails does not fit into \.tsv; give --out a \.parquet"
    ):
        write_table(tmp_path / "v.tsv", model, part, thumbnails=True)
