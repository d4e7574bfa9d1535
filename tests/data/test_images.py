"""The set of images as recipes, engine and report see it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Images, Source, open_images
from latentia.data.reading import Reading
from latentia.data.sources.registry import DATA_SOURCES, DataSource

NAMES = ("train", "validation", "test")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "photos"
    for at in range(24):
        (path / "ab"[at % 2]).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
        image.save(path / "ab"[at % 2] / f"{at:02}.png")
    return path


def test_nothing_is_touched_before_it_is_asked_for(tmp_path):
    """A recipe builds its network from the shape alone, where the data never was."""
    images = open_images(str(tmp_path / "nowhere"), (28, 30), 1)
    assert images.shape == (1, 28, 30)
    with pytest.raises(Error, match="nowhere does not exist"):
        images.split("train")


def test_a_cached_open_imports_no_decoder(folder):
    """Nor does the import of the package before it."""
    open_images(str(folder)).split("train")
    code = (
        "import sys, latentia.data as d;"
        f"len(d.open_images({str(folder)!r}).split('train'));"
        "print({'datasets', 'PIL', 'sklearn', 'rich', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_opened_set_is_returned_as_it_is():
    images = open_images("digits")
    assert open_images(images, size=5) is images


@pytest.mark.parametrize("size", [64, "64", "64x64", (64, 64), [64, 64]])
def test_ways_to_say_a_size(size):
    assert open_images("digits", size, 1).shape == (1, 64, 64)


def test_height_comes_first():
    assert open_images("digits", "64x48", 3).shape == (3, 64, 48)


@pytest.mark.parametrize("size", ["abc", "0", -1, "64x", "1x2x3", "2.5", (0, 3), ""])
def test_what_is_not_a_size(size):
    with pytest.raises(Error) as error:
        open_images("digits", size)
    assert str(error.value) == (
        f"size {size!r} is not a size; give a side such as 64, or height x width such as 64x48, at"
        " most 32,768."
    )


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"white": 0.0}, r"--white is 0; it must be above --black \(0\), since it is the value"),
        ({"white": float("nan")}, "--white is nan; it must be a finite number."),
        ({"background": 2.0}, "--background is 2.0; it must be at least 0 and at most 1."),
        ({"validation": 1.0}, "--validation is 1.0; it must be at least 0 and less than 1."),
        ({"validation": float("nan")}, "--validation is nan; it must be"),
    ],
)
def test_options_out_of_range(how, text):
    with pytest.raises(Error, match=text):
        Source("digits", Reading(**how))


@pytest.mark.parametrize("n", [0, 1798, 99999999])
def test_no_more_digits_than_there_are(n):
    with pytest.raises(Error, match=f"^({n:,} digits were requested; give 1 to 1,797|digits:0 is)"):
        open_images(f"digits:{n}", 8).split("all")


def test_no_channels():
    with pytest.raises(
        Error, match="channels is 0; it must be at least 1: 1 for grey, 3 for colou"
    ):
        open_images("digits", 8, 0)


def test_splits_are_disjoint_and_every_image_is_in_one(folder):
    """On keys rather than rows."""
    images = open_images(str(folder))
    keys = [key for name in NAMES for key in images.split(name).keys]
    assert sorted(keys) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    assert [len(images.split(name)) for name in NAMES] == [20, 2, 2]
    with pytest.raises(Error, match="'dev' is not a split; give one of train, validation, test"):
        images.split("dev")


def test_batches_hold_these_rows_and_their_columns(folder):
    split = open_images(str(folder)).split("train")
    rows = torch.tensor([5, 0, 5])
    batch, whole = split.get_batch(rows), split.get_batch(slice(None))
    assert batch.image.dtype == torch.float32
    torch.testing.assert_close(batch.image, whole.image[rows], rtol=0, atol=0)
    assert batch.columns["label"].tolist() == whole.columns["label"][rows].tolist()
    expected = [split.classes["label"].index(split.keys[row][0]) for row in rows]
    assert batch.columns["label"].tolist() == expected
    sizes = [len(batch.image) for batch in split.iterate_batches(8)]
    assert sizes == [8, 8, 4]
    torch.testing.assert_close(torch.cat([b.image for b in split.iterate_batches(8)]), whole.image)


def test_on_a_device_the_split_is_the_same():
    split = open_images("digits", 8).split("validation")
    moved = split.to("meta")
    assert moved.pixels.device.type == "meta"
    assert moved.pixels.dtype == torch.uint8
    assert moved.pixels.shape == (135, 1, 8, 8)
    assert split.to("cpu") is split


def test_new_images_are_read_as_the_old_ones(folder):
    """Same file, same bits: latents of new images stand beside those of the run."""
    images = open_images(str(folder), "7x6", 1)
    split = images.split("train")
    expected = split.get_batch(slice(None)).image
    paths = [folder / key for key in split.keys]
    assert torch.equal(images.preprocess(paths), expected)
    assert torch.equal(images.preprocess(str(paths[3])), expected[3:4])
    assert torch.equal(images.preprocess([Image.open(path) for path in paths]), expected)
    again = Images.from_metadata(json.loads(json.dumps(images.to_metadata())))
    assert torch.equal(again.preprocess(paths), expected)


def test_new_arrays():
    images = open_images("digits", 8)
    expected = images.split("test").get_batch(slice(None)).image
    assert torch.equal(images.preprocess(expected), expected)
    assert torch.equal(images.preprocess(expected.numpy()[:, 0]), expected)
    assert torch.equal(images.preprocess(expected[0, 0]), expected[:1])
    assert images.preprocess(np.zeros((2, 16, 16), np.uint8)).shape == (2, 1, 8, 8)
    assert images.preprocess([np.zeros((3, 16, 16)), np.ones((5, 5))]).shape == (2, 1, 8, 8)
    colour = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    one = images.preprocess(Image.fromarray(colour))
    torch.testing.assert_close(images.preprocess(colour), one, atol=0.02, rtol=0)
    torch.testing.assert_close(images.preprocess([colour])[0], one[0], atol=0.02, rtol=0)
    with pytest.raises(Error, match="3 is no image; give a path, a Pillow image, an array"):
        images.preprocess(3)


def test_new_images_that_are_none(tmp_path):
    images = open_images("digits", 8, 1)
    (tmp_path / "a.png").touch()
    with pytest.raises(Error) as error:
        images.preprocess([tmp_path / "a.png", tmp_path / "b.png"])
    assert str(error.value) == (
        f"2 images cannot be read: {tmp_path}/a.png (0 bytes), {tmp_path}/b.png (No such file or"
        " directory); repair or omit them."
    )
    with pytest.raises(Error, match=r"1 image cannot be read: .*\(0 bytes\); repair or omit it\."):
        images.preprocess(tmp_path / "a.png")
    with pytest.raises(
        Error, match="no images were given; give at least one path, Pillow image or"
    ):
        images.preprocess([])


def test_the_spec_is_json_and_describes(folder):
    images = open_images(str(folder))
    spec = json.loads(json.dumps(images.to_metadata(), allow_nan=False))
    assert spec["source"] == str(folder)
    assert spec["shape"] == [3, 9, 11]
    assert spec["labels"] == {"label": ["a", "b"]}
    assert spec["count"] == {"train": 20, "validation": 2, "test": 2}
    assert spec["preprocessing"]["size"] == [9, 11]


def test_described_images_have_a_shape_and_no_pixels(folder):
    spec = json.loads(json.dumps(open_images(str(folder)).to_metadata()))
    shutil.rmtree(folder)
    images = Images.from_metadata(spec)
    assert images.shape == (3, 9, 11)
    assert images.to_metadata() == spec
    assert images.notes == []
    with pytest.raises(Error) as error:
        images.split("train")
    assert str(error.value) == (
        f"the run's images ({folder}) cannot be found here; give them with --data."
    )


def test_the_fingerprint_is_that_of_the_content(folder, tmp_path):
    one = open_images(str(folder)).to_metadata()["fingerprint"]
    shutil.copytree(folder, tmp_path / "moved")
    assert open_images(str(tmp_path / "moved")).to_metadata()["fingerprint"] == one
    Image.new("RGB", (11, 9)).save(tmp_path / "moved/a/00.png")
    assert open_images(str(tmp_path / "moved")).to_metadata()["fingerprint"] != one


def test_digits_fill_the_unit_interval_with_their_labels():
    images = open_images("digits")
    assert images.shape == (1, 32, 32)
    batch = images.split("train").get_batch(slice(None))
    assert batch.image.min() == 0
    assert batch.image.max() == 1
    assert sorted(set(batch.columns["label"].tolist())) == list(range(10))
    native = open_images("digits", 8).split("train").get_batch(slice(None)).image * 16
    torch.testing.assert_close(native, native.round(), rtol=0, atol=0.04)
    assert open_images("digits", "20x12", 3).split("test").get_batch(slice(2)).image.shape == (
        *(2, 3, 20, 12),
    )


@pytest.mark.usefixtures("fresh_registries")
def test_a_made_source_may_hold_images_beside_images(monkeypatch):
    from latentia.data.sources import synthetic

    monkeypatch.setitem(synthetic.SYNTHETIC_MODULES, "pairs", "latentia.data.test_pairs")
    DATA_SOURCES.register("pairs")(DataSource(synthetic.SyntheticReader))
    module = type(sys)("latentia.data.test_pairs")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    module.make_pairs = lambda: (pixels, {"pattern": 255 - pixels}, {"pattern": None})
    monkeypatch.setitem(sys.modules, "latentia.data.test_pairs", module)
    batch = open_images("pairs").split("train").get_batch(slice(None))
    torch.testing.assert_close(batch.columns["pattern"], 1 - batch.image)


def test_made_sources_come_in_any_number_and_say_so_if_it_is_none():
    few = open_images("vehicles:6", size=32)
    assert len(few.split("all")) == 6
    assert few.shape == (1, 32, 32)
    assert set(few.split("all").columns) >= {"body", "length", "position"}
    assert open_images("sprites:5", size="20x12").split("all").get_batch(
        slice(0, 2)
    ).image.shape == (*(2, 1, 20, 12),)
    with pytest.raises(Error, match="vehicles:many is no number of images; write vehicles:500"):
        open_images("vehicles:many").to_metadata()


def test_described_images_are_read_as_the_runs_were(tmp_path):
    """A moved run keeps its own white and background."""
    Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(tmp_path / "deep.tif")
    clear = Image.fromarray(np.zeros((8, 8, 4), np.uint8))
    clear.save(tmp_path / "clear.png")
    source = Source(np.zeros((4, 8, 8), np.uint8), Reading(white=4095, background=0.25))
    described = Images.from_metadata(open_images(source).to_metadata())
    deep, laid = described.preprocess([tmp_path / "deep.tif", tmp_path / "clear.png"])
    assert deep.mean() == pytest.approx(1.0)
    assert laid.mean() == pytest.approx(0.25, abs=0.01)
