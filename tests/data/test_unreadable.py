"""Files that cannot be read stop a training, or are left out and listed where that is asked for."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import latentia
from latentia.core.errors import Error
from latentia.data import Images, Source, open_images
from latentia.data.reading import Reading

SKIP = Reading(skip_unreadable=True, validation=0)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 64, 64), dtype=np.uint8)


def fill_folder(folder, count=40, broken=("07", "13"), suffix="png"):
    """Noise images; the first of the broken ends in its middle, the others are empty."""
    for k in range(count):
        path = folder / "ab"[k % 2] / f"{k:02}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(NOISE[k]).save(path)
        if path.stem in broken:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2] if path.stem == broken[0] else b"")
    return folder


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_unreadable_files_are_left_out_and_the_others_are_as_without_them(suffix, tmp_path):
    with_broken = fill_folder(tmp_path / "x", suffix=suffix)
    clean = fill_folder(tmp_path / "y", suffix=suffix)
    for name in (f"b/07.{suffix}", f"b/13.{suffix}"):
        (clean / name).unlink()
    with pytest.raises(Error, match=r"2 unreadable of 40 images: .*by --skip-unreadable\."):
        open_images(str(with_broken)).split("train")
    images, expected = open_images(Source(str(with_broken), SKIP)), open_images(str(clean))
    split, other = images.split("all"), expected.split("all")
    assert split.keys == other.keys
    assert (split[:] == other[:]).all()
    batch, twin = (each.get_batch(slice(None)) for each in (split, other))
    assert (batch.columns["label"] == twin.columns["label"]).all()
    entry = images.to_metadata()
    assert [each["key"] for each in entry["unreadable"]] == [f"b/07.{suffix}", f"b/13.{suffix}"]
    assert entry["unreadable"][1]["reason"] == "0 bytes"
    assert entry["fingerprint"] == expected.to_metadata()["fingerprint"]
    assert "2 unreadable files left out, all listed in run.json: b/07." in images.notes[0]
    again = open_images(Source(str(with_broken), Images.from_metadata(entry).source.reading))
    assert again.to_metadata()["unreadable"] == entry["unreadable"]  # from the cache
    assert "unreadable" not in expected.to_metadata()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a pointer of Git LFS; `git",
        ),
        (b"<!DOCTYPE html><p>404", "a page of HTML; load the image anew"),
    ],
)
def test_what_a_download_left_in_the_place_of_an_image_is_named(content, reason, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Error, match=re.escape(f"a.png ({reason}")):
        open_images(str(tmp_path)).split("all")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])  # read by tifffile, and by Pillow
def test_files_of_no_finite_numbers_are_left_out_where_that_is_asked_for(dtype, tmp_path):
    for k, value in enumerate((0.5, np.nan, np.inf)):
        tifffile.imwrite(tmp_path / f"{k}.tif", np.full((4, 4), value, dtype))
    text = r"2 unreadable of 3 images: 1\.tif \(NaN or infinity among its values\), 2\.tif"
    text += r".*, or give --missing nan if NaN stands for missing pixels\."
    with pytest.raises(Error, match=text):
        open_images(str(tmp_path)).split("train")
    assert open_images(Source(str(tmp_path), SKIP)).split("all").keys == ["0.tif"]


def test_a_run_in_the_folder_of_its_images_does_not_change_them(tmp_path, monkeypatch):
    """Trained there a second time, neither has the pictures of the first."""
    monkeypatch.chdir(fill_folder(tmp_path, count=12, broken=()))
    options = {"epochs": 1, "hidden": 8, "latent": 2, "progress": False}
    runs = [latentia.train("mnist_mlp_vae", ".", run=f"runs/{k}", **options) for k in range(2)]
    first, second = (run.metadata["images"]["fingerprint"] for run in runs)
    assert first == second
    assert len(latentia.load("runs/0").encode()) == 12
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path.with_name("fresh")))
    (note,) = open_images(".").notes
    assert re.search(r"ignored: \d+ files in the run runs/0/, the run runs/1/\.", note)
    with pytest.raises(Error, match="runs/0/ is a run of latentia; give the folder of its images"):
        open_images("runs/0").split("all")


@pytest.mark.parametrize("content", [b"x", b"{}", b"\n"])
def test_a_file_of_few_bytes_is_said_to_be_no_image(content, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(Error, match=r"a\.jpg \(not an image that Pillow knows\)"):
        open_images(str(tmp_path)).split("train")


def test_nothing_but_unreadable_files_is_an_error(tmp_path):
    fill_folder(tmp_path, count=2, broken=("00", "01"))
    with pytest.raises(Error, match=r"2 unreadable of 2 images: .* Repair or remove them\.$"):
        open_images(Source(str(tmp_path), SKIP)).split("train")


def test_values_beyond_the_range_are_not_left_out(tmp_path):
    """A missing --white is no broken file."""
    for k, top in enumerate((1.0, 300.0)):
        Image.fromarray(np.full((4, 4), top, np.float32)).save(tmp_path / f"{k}.tif")
    with pytest.raises(Error, match=r"1\.tif \(values from 300"):
        open_images(Source(str(tmp_path), SKIP)).split("train")


def test_rows_of_a_table_and_their_columns_are_left_out_together(tmp_path):
    fill_folder(tmp_path / "x", broken=("07",))
    files = sorted((tmp_path / "x").rglob("*.png"), key=lambda file: file.stem)
    cells = [{"bytes": file.read_bytes(), "path": None} for file in files]
    cells[3] = None
    table = pd.DataFrame({"image": cells, "number": np.arange(40.0)})
    (tmp_path / "t").mkdir()
    table[:30].to_parquet(tmp_path / "t/train.parquet")
    table[30:].to_parquet(tmp_path / "t/test.parquet")
    images = open_images(Source(str(tmp_path / "t"), SKIP))
    split = images.split("all")
    batch = split.get_batch(slice(None))
    kept = [k for k in range(40) if k not in (3, 7)]
    assert batch.columns["number"].tolist() == kept
    np.testing.assert_allclose(batch.image[:, 0], NOISE[kept] / 255, atol=1e-6)
    assert split.keys[:4] == ["train/0", "train/1", "train/2", "train/4"]
    assert len(images.split("test")) == 10
    assert [each["key"] for each in images.to_metadata()["unreadable"]] == ["train/3", "train/7"]


def test_paths_in_a_sequence_are_left_out_with_their_labels(tmp_path):
    files = sorted(fill_folder(tmp_path).rglob("*.png"), key=lambda file: file.stem)
    items = [(str(file), k) for k, file in enumerate(files)]
    images = open_images(Source(items, SKIP))
    labels = images.split("all").get_batch(slice(None)).columns["label"].tolist()
    assert labels == [k for k in range(40) if k not in (7, 13)]


def test_streamed_shards_cannot_be_searched_beforehand(tmp_path):
    pd.DataFrame({"image": [{"bytes": b"", "path": None}]}).to_parquet(tmp_path / "t.parquet")
    reading = Reading(skip_unreadable=True, stream=True)
    with pytest.raises(Error, match="leave one out"):
        _ = open_images(Source(str(tmp_path), reading)).shape


def test_a_run_lists_what_it_left_out(tmp_path):
    fill_folder(tmp_path / "x")
    options = latentia.Options(skip_unreadable=True, threads=1)
    run = latentia.train(
        "mnist_mlp_vae",
        str(tmp_path / "x"),
        epochs=1,
        run=tmp_path / "r",
        options=options,
        progress=False,
    )
    images = json.loads((tmp_path / "r/run.json").read_text())["images"]
    assert [each["key"] for each in images["unreadable"]] == ["b/07.png", "b/13.png"]
    assert len(run.encode()) == 38
    assert len(latentia.load(tmp_path / "r").encode()) == 38


def test_litter_of_systems_is_ignored_and_counted(tmp_path):
    fill_folder(tmp_path, count=4, broken=())
    litter = ("@eaDir/00.png/thumb.jpg", "a/__MACOSX/a/x.png", "b/.thumbnails/x.png", "a/._00.png")
    for name in (*litter, "b/.ipynb_checkpoints/01.png", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(NOISE[0]).save(tmp_path / name)
    for name in ("Thumbs.db", "a/desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    images = open_images(str(tmp_path))
    assert images.split("all").keys == ["a/00.png", "a/02.png", "b/01.png", "b/03.png"]
    assert images.classes == {"label": ["a", "b"]}
    expected = (
        f"{tmp_path}/: ignored: 7 files in ._*, .ipynb_checkpoints, .thumbnails, @eaDir, Thumbs.db,"
        " __MACOSX, desktop.ini."
    )
    assert images.notes == [expected]


def test_litter_beside_pairs_and_tables_is_ignored(tmp_path):
    for kind in ("speckle", "patterns"):
        fill_folder(tmp_path / "p" / kind, count=4, broken=())
    (tmp_path / "p/@eaDir").mkdir()
    Image.fromarray(NOISE[0]).save(tmp_path / "p/@eaDir/x.png")
    images = open_images(str(tmp_path / "p"))
    assert len(images.split("all")) == 4
    assert "ignored: 1 file in @eaDir" in images.notes[0]


def test_paths_in_a_table_stay_in_its_folder(tmp_path):
    fill_folder(tmp_path / "t/images", count=4, broken=())
    Image.fromarray(NOISE[0]).save(tmp_path / "secret.png")

    def open_table(*paths):
        cells = [{"bytes": None, "path": str(path)} for path in paths]
        pd.DataFrame({"image": cells}).to_parquet(tmp_path / "t/train.parquet")
        return open_images(str(tmp_path / "t/train.parquet")).split("all")

    inside = "images/a/00.png", "images/../images/b/01.png", tmp_path / "t/images/a/02.png"
    np.testing.assert_allclose(open_table(*inside)[:][:, 0], NOISE[:3] / 255, atol=1e-6)
    for path in ("../secret.png", tmp_path / "secret.png", "images/../../secret.png"):
        with pytest.raises(Error, match=r"the image train/1 is a path, .*secret\.png, that leaves"):
            open_table("images/a/00.png", path)
