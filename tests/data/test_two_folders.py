"""Pairs of any two folders: each image stands beside its own partner, whatever the order."""

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.data import Images, Source, open_images
from latentia.data.reading import Reading

NAMES = ["a", "b", "run2/c", "run2/deep/d"]


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)


def write_pair(folder, name, level, small=(3, 2), large=(6, 5), suffix=".png"):
    save(folder / "low" / f"{name}.png", np.full(small, level, np.uint8))
    save(folder / "high" / f"{name}{suffix}", np.full(large, level, np.uint8))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for level, name in enumerate(NAMES):
        write_pair(tmp_path, name, 20 + level, suffix=".tiff" if level % 2 else ".png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_target_stands_beside_its_own_input(folder):
    write_pair(folder, "x", 90, suffix=".bmp")  # targets: x.bmp, x.k.png
    write_pair(folder, "x.k", 91)  # inputs: x.k.png, x.png
    images = open_images(f"pairs:{folder / 'low'}:{folder / 'high'}")
    assert images.shape == (1, 6, 5)
    part = images.split("all")
    assert part.columns["input"].shape == (6, 1, 3, 2)
    assert part.classes["input"] is None
    batch = part.get_batch(slice(None))
    torch.testing.assert_close(batch.columns["input"].amax((1, 2, 3)), batch.image.amax((1, 2, 3)))
    assert {"a.png", "b.tiff", "run2/deep/d.tiff"} <= {*part.keys}


def test_folders_exchanged_are_the_pairs_exchanged(folder):
    there, back = (
        open_images(f"pairs:{a}:{b}").split("all") for a, b in (("low", "high"), ("high", "low"))
    )
    assert there.pixels.shape[2:] == (6, 5)
    assert back.pixels.shape[2:] == (3, 2)
    assert back.columns["input"].shape[2:] == (3, 2)  # no larger than the target
    assert torch.equal(there[:][:, 0, 0, 0], back[:][:, 0, 0, 0])


@pytest.mark.parametrize(("size", "expected"), [(None, (3, 2)), (8, (3, 2)), (2, (2, 2))])
def test_an_input_is_resized_only_to_the_size_of_the_target(folder, size, expected):
    part = open_images("pairs:low:high", size=size).split("all")
    assert tuple(part.columns["input"].shape[2:]) == expected


def test_inputs_of_several_sizes_get_that_of_the_target(folder):
    save(folder / "low/a.png", np.full((4, 4), 20, np.uint8))
    part = open_images("pairs:low:high").split("all")
    assert part.columns["input"].shape[2:] == (6, 5)
    with pytest.raises(Error, match=r"--aspect pad gives low/ a border, .* or --aspect crop"):
        open_images(Source("pairs:low:high", Reading(aspect="pad"))).split("all")


@pytest.mark.parametrize("size", [(4, 4), (16, 16)])
def test_missing_pixels_are_those_of_targets_alone(folder, size):
    pixels = np.full((6, 5, 4), 255, np.uint8)
    pixels[:2, :, 3] = 0
    save(folder / "high/a.png", pixels)
    save(folder / "low/a.png", np.dstack([np.full((*size, 3), 20), np.zeros(size)]).astype("u1"))
    reading = Reading(missing="alpha", background=0.0)
    batch = open_images(Source("pairs:low:high", reading)).split("all").get_batch(slice(None))
    assert (batch.columns["input"][0] == 0).all()  # the background, not missing
    observed = batch.columns[MASK_COLUMN]
    assert (observed[0, :, :2] == 0).all()
    assert observed.sum() == 4 * 30 - 10


def test_the_source_is_absolute_and_its_folders_are_found_by_name(folder, monkeypatch):
    (folder / "c:d").mkdir()
    for name in ("low", "high"):
        (folder / name).rename(folder / "c:d" / name)
    images = open_images("pairs:c:d/low:c:d/high")
    metadata = images.to_metadata()
    assert metadata["source"] == f"pairs:{folder}/c:d/low:{folder}/c:d/high"
    before = images.source.make_reader().fingerprint()  # of the cache
    monkeypatch.chdir("/")
    again = open_images(Source(metadata["source"], Reading.from_metadata(metadata)))
    assert again.source.make_reader().fingerprint() == before
    assert again.to_metadata()["fingerprint"] == metadata["fingerprint"]
    assert Images.from_metadata(metadata).get_column_shape("input") == (1, 3, 2)


def test_missing_partners_are_counted_and_named(folder):
    for name in ("low/lonely.png", "high/run2/z.tif", "high/run2/x.png"):
        save(folder / name, np.zeros((3, 2), np.uint8))
    with pytest.raises(Error) as error:
        open_images("pairs:low:high").split("train")
    assert str(error.value) == (
        "pairs:low:high holds 3 images without a partner: lonely (no target), run2/x (no input),"
        " run2/z (no input). Give high/NAME and low/NAME for each, or a folder without them."
    )


@pytest.mark.parametrize(
    "text", ["pairs:", "pairs:low", "pairs:low:", "pairs::high", "pairs:low:no"]
)
def test_what_names_no_two_folders_is_one_sentence(folder, text):
    with pytest.raises(Error, match=f"^{text} names no two folders; give pairs:INPUT:TARGET, such"):
        open_images(text).split("train")


def test_a_colon_in_a_name_that_is_not_there_is_an_ordinary_mistake(folder):
    with pytest.raises(Error, match="pear:low does not exist"):
        open_images("pear:low").split("train")
