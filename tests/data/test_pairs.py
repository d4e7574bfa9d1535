"""Recorded pairs: each speckle image with its own pattern, read by the code that reads images."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.reading import Reading

NAMES = ["a", "b", "run2/c", "run2/deep/d", "e.f"]


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)


def pair(folder, name, level, shown=".png", seen=".png"):
    """A pattern of 3x2 and speckle of 6x5, both of this grey."""
    save(folder / "patterns" / f"{name}{shown}", np.full((3, 2), level, np.uint8))
    save(folder / "speckle" / f"{name}{seen}", np.full((6, 5), level, np.uint8))


@pytest.fixture
def folder(tmp_path):
    for level, name in enumerate(NAMES):
        pair(tmp_path, name, 20 + level, seen=".tiff" if level % 2 else ".png")
    return tmp_path


def test_each_image_stands_beside_its_own_pattern(folder):
    """Other suffixes sort otherwise: a row of one sub-folder need not be that of the other."""
    pair(folder, "x", 90, shown=".bmp", seen=".png")  # patterns: x.bmp, x.k.png
    pair(folder, "x.k", 91)  # speckle: x.k.png, x.png
    pair(folder, "x#2", 92)
    images = open_images(str(folder))
    part = images.split("all")
    assert images.shape == (1, 6, 5)
    assert part.columns["pattern"].shape == (len(NAMES) + 3, 1, 3, 2)
    assert part.columns["pattern"].dtype == torch.uint8
    batch = part.get_batch(slice(None))
    levels = (batch.image * 255).round()[:, 0, 0, 0]
    assert torch.equal(levels, part.columns["pattern"][:, 0, 0, 0].float())
    assert dict(zip(part.keys, levels.tolist(), strict=True)).items() >= {
        ("a.png", 20.0),
        ("b.tiff", 21.0),
        ("run2/deep/d.tiff", 23.0),
        ("e.f.png", 24.0),
    }
    torch.testing.assert_close(batch.columns["pattern"].amax((1, 2, 3)), levels / 255)


def test_columns_are_those_of_the_simulated_fibre(folder):
    ours, made = (open_images(each).split("train") for each in (str(folder), "speckle:32"))
    for part in (ours, made):
        pattern = part.get_batch(slice(0, 2)).columns["pattern"]
        assert part.columns["pattern"].dtype == torch.uint8
        assert part.classes["pattern"] is None
        assert pattern.dtype == torch.float32
        assert pattern.ndim == 4


def test_the_spec_is_json_and_a_resize_leaves_the_patterns(folder):
    images = open_images(str(folder), size=4)
    assert json.loads(json.dumps(images.to_metadata()))["labels"] == {"pattern": None}
    assert images.split("all").columns["pattern"].shape[1:] == (1, 3, 2)
    assert images.split("all").pixels.shape[1:] == (1, 4, 4)


def test_pages_are_paired_page_by_page(tmp_path):
    for part, size in (("speckle", (6, 5)), ("patterns", (3, 2))):
        (tmp_path / part).mkdir()
        pages = [Image.fromarray(np.full(size, level, np.uint8)) for level in range(12)]
        pages[0].save(tmp_path / part / "all.tif", save_all=True, append_images=pages[1:])
    part = open_images(str(tmp_path)).split("all")
    assert part.keys[10] == "all.tif#10"
    assert torch.equal(part.columns["pattern"][:, 0, 0, 0], part.pixels[:, 0, 0, 0])
    assert part.pixels[:, 0, 0, 0].tolist() == list(range(12))


def test_patterns_are_decoded_as_images_are(tmp_path):
    """16 bits are kept, transparency lies on the background, EXIF turns."""
    save(tmp_path / "speckle/a.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "patterns").mkdir()
    deep = Image.fromarray(np.array([[0, 4095, 2048]], np.uint16))
    deep.save(tmp_path / "patterns/a.png")
    found = open_images(Source(str(tmp_path), Reading(white=4095))).split("all").columns["pattern"]
    torch.testing.assert_close(found, torch.tensor([[[[0.0, 1.0, 2048 / 4095]]]]))

    Image.new("LA", (3, 1), (0, 0)).save(tmp_path / "patterns/a.png")
    found = (
        open_images(Source(str(tmp_path), Reading(background=0.2))).split("all").columns["pattern"]
    )
    assert found.unique().tolist() == [51]

    (tmp_path / "patterns/a.png").unlink()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("L", (3, 1)).save(tmp_path / "patterns/a.jpg", exif=turned)
    assert open_images(str(tmp_path)).split("all").columns["pattern"].shape == (1, 1, 3, 1)


def test_a_changed_pattern_is_read_anew_and_moves_the_fingerprint(folder):
    first = open_images(str(folder))
    before = first.to_metadata()["fingerprint"]
    again = open_images(str(folder))  # from the cache
    assert again.to_metadata()["fingerprint"] == before
    assert torch.equal(again.split("all").columns["pattern"], first.split("all").columns["pattern"])
    save(folder / "patterns/a.png", np.full((3, 2), 200, np.uint8))
    changed = open_images(str(folder))
    assert changed.split("all").columns["pattern"][0].unique().tolist() == [200]
    assert changed.to_metadata()["fingerprint"] != before


def test_images_without_a_partner_are_listed(folder):
    for name in ("patterns/lonely.png", "speckle/run2/z.tif", "speckle/run2/x.png"):
        save(folder / name, np.zeros((3, 2), np.uint8))
    with pytest.raises(Error) as error:
        open_images(str(folder)).split("train")
    assert str(error.value) == (
        f"{folder}/ holds 3 images without a partner: lonely (no speckle), run2/x (no pattern),"
        " run2/z (no pattern). Give speckle/NAME and patterns/NAME for each, or a folder"
        " without them."
    )


def test_many_without_a_partner_are_counted(folder):
    for at in range(13):
        save(folder / f"speckle/s{at:02}.png", np.zeros((6, 5), np.uint8))
    with pytest.raises(
        Error, match=r"holds 13 images without .* s09 \(no pattern\) and 3 more\. Give"
    ):
        open_images(str(folder)).split("train")


def test_a_name_with_two_suffixes_has_no_one_partner(folder):
    save(folder / "speckle/a.bmp", np.zeros((6, 5), np.uint8))
    with pytest.raises(Error) as error:
        open_images(str(folder)).split("train")
    assert str(error.value) == (
        f"{folder}/ holds 1 name more than once, with other suffixes: a. Leave one file of each"
        " name in speckle/ and in patterns/."
    )


def test_patterns_of_several_sizes_are_named(folder):
    for name, size in (("b", (4, 4)), ("run2/c", (4, 4))):
        save(folder / f"patterns/{name}.png", np.zeros(size, np.uint8))
    with pytest.raises(Error) as error:
        open_images(str(folder), size=8).split("train")
    assert str(error.value) == (
        f"{folder}/patterns/ holds images of 2 sizes: 3x2, 4x4."
        " Patterns keep their own size, which must be the same for all: resize them."
    )


def test_broken_patterns_are_named_as_broken_images_are(folder):
    (folder / "patterns/a.png").write_bytes(b"")
    with pytest.raises(
        Error, match=r"patterns/ holds 1 unreadable of 5 images: a\.png \(0 bytes\)"
    ):
        open_images(str(folder)).split("train")


def test_a_folder_is_pairs_only_if_it_holds_nothing_else_but_notes(folder):
    (folder / "notes.txt").write_text("x")
    images = open_images(str(folder))
    assert images.notes == [f"{folder}/: not used: notes.txt."]
    assert "pattern" in images.split("all").columns
    for other in ("loose.png", "third/a.png"):
        save(folder / other, np.zeros((6, 5), np.uint8))
        assert "pattern" not in open_images(str(folder), 4).split("all").columns
        (folder / other).unlink()


def test_sub_folders_are_labels_if_every_image_lies_in_one(tmp_path):
    for level, name in enumerate(["cat/a", "cat/b", "dog/a"]):
        pair(tmp_path, name, level)
    part = open_images(str(tmp_path)).split("all")
    assert part.classes == {"pattern": None, "label": ["cat", "dog"]}
    assert part.columns["label"].tolist() == [0, 0, 1]
