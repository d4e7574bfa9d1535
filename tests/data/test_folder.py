"""A folder is read whole, in one order, with its labels, or one error says why not."""

import os
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Images, Source, open_images
from latentia.data.image_files import ImageFiles
from latentia.data.reading import Reading


def picture(path, level=0, size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, level, np.uint8)).save(path)


def every(images):
    """key -> (mean level, label name) over all three splits."""
    found = {}
    for name in ("train", "validation", "test"):
        split = images.split(name)
        if not len(split):
            continue
        batch = split.get_batch(slice(None))
        levels = (batch.image.mean((1, 2, 3)) * 255).round().int().tolist()
        classes = split.classes.get("label")
        labels = [classes[at] for at in batch.columns["label"]] if classes else [None] * len(split)
        found |= dict(zip(split.keys, zip(levels, labels, strict=True), strict=True))
    return found


NAMES = ["train/a.png", "val/a.png", "test/b.png", "cat/test/train.png", "cat/deep/er/x.png"]


def test_every_file_is_found_with_its_label_whatever_the_names(tmp_path):
    """imagefolder finds 2 of 9 such files, and no labels when one lies deeper."""
    for level, name in enumerate(NAMES):
        picture(tmp_path / name, level)
    expected = {name: (level, name.split("/")[0]) for level, name in enumerate(NAMES)}
    assert every(open_images(str(tmp_path))) == expected


def test_no_labels_when_an_image_lies_in_no_sub_folder(tmp_path):
    picture(tmp_path / "cat/a.png")
    picture(tmp_path / "b.png")
    images = open_images(str(tmp_path))
    assert images.to_metadata()["labels"] == {}


def test_order_is_that_of_the_names_not_of_creation(tmp_path):
    """Latents are named by their keys: sorted, as the listing is."""
    names = [f"{at:02}.png" for at in range(20)]
    for folder, order in (("up", names), ("down", names[::-1])):
        for name in order:
            picture(tmp_path / folder / name, int(name[:2]))
    up, down = (open_images(str(tmp_path / folder)) for folder in ("up", "down"))
    assert up.to_metadata()["fingerprint"] == down.to_metadata()["fingerprint"]
    for name in ("train", "validation", "test"):
        assert up.split(name).keys == sorted(up.split(name).keys) == down.split(name).keys


def test_keys_are_nfc_on_every_system(tmp_path):
    picture(tmp_path / unicodedata.normalize("NFD", "é.png"))
    assert open_images(str(tmp_path)).split("train").keys == [unicodedata.normalize("NFC", "é.png")]


def test_links_are_followed_and_circles_ended(tmp_path):
    picture(tmp_path / "elsewhere/a.png", 7)
    picture(tmp_path / "set/x/b.png", 8)
    (tmp_path / "set/x/a.png").symlink_to(tmp_path / "elsewhere/a.png")
    (tmp_path / "set/y").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/x/round").symlink_to(tmp_path / "set")
    found = every(open_images(str(tmp_path / "set")))
    assert found == {"x/a.png": (7, "x"), "x/b.png": (8, "x"), "y/a.png": (7, "y")}


def test_hidden_files_are_passed_over_and_others_named(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / ".hidden.png")
    picture(tmp_path / ".git/b.png")
    (tmp_path / "labels.csv").write_text("a,b")
    (tmp_path / "notes.txt").write_text("x")
    images = open_images(str(tmp_path))
    assert images.split("train").keys == ["a.png"]
    assert images.notes == [f"{tmp_path}/: not images, not used: labels.csv, notes.txt."]


def test_an_image_without_its_suffix_is_an_image(tmp_path):
    picture(tmp_path / "a.png", 5)
    (tmp_path / "a.png").rename(tmp_path / "scan0001")
    assert every(open_images(str(tmp_path))) == {"scan0001": (5, None)}


def test_no_images(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(Error) as error:
        open_images(str(tmp_path)).split("train")
    assert str(error.value) == (
        f"{tmp_path}/ holds no images (1 other file); give a folder of PNG, JPEG, TIFF or other"
        " images, in sub-folders or not."
    )
    (tmp_path / "a.tar").write_text("x")
    with pytest.raises(Error, match=r"in sub-folders or not, or --stream to read its \.tar files"):
        open_images(str(tmp_path)).split("train")


def test_missing_folder(tmp_path):
    with pytest.raises(
        Error, match=r"nowhere does not exist; give digits, .*mnist, .* or \.npz file"
    ):
        open_images(str(tmp_path / "nowhere")).split("train")


def test_a_file_that_is_none_of_ours(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(Error, match=r"a\.csv is a \.csv file; give digits, .*mnist"):
        open_images(str(tmp_path / "a.csv")).split("train")


def test_mixed_sizes_are_named(tmp_path):
    for at, size in enumerate([(64, 64), (20, 30), (31, 17)]):
        picture(tmp_path / f"{at}.png", size=size)
    with pytest.raises(Error) as error:
        _ = open_images(str(tmp_path)).shape
    assert str(error.value) == (
        f"{tmp_path}/ holds images of 3 sizes (20x30, 31x17, 64x64); give one with --size 64 or"
        " --size 64x48."
    )
    assert open_images(str(tmp_path), "12x10").split("train").get_batch(slice(1)).image.shape[
        1:
    ] == (*(1, 12, 10),)


def test_the_odd_image_among_many_of_one_size_is_named(tmp_path):
    for number in range(10):
        picture(tmp_path / f"{number}.png", size=(8, 8) if number else (6, 7))
    with pytest.raises(Error, match=r"2 sizes \(6x7, 8x8\), all 8x8 but 0\.png; give one"):
        _ = open_images(str(tmp_path)).shape


def test_lists_of_splits_beside_the_images_are_named(tmp_path):
    for number in range(4):
        picture(tmp_path / f"{number}.png", size=(8, 8))
    (tmp_path / "train.txt").write_text("0.png\n1.png\n")
    (tmp_path / "test.txt").write_text("2 0\n3 1\n")
    (tmp_path / "notes.txt").write_text("hello\n")
    notes = [note for note in open_images(str(tmp_path)).notes if "these lists" in note]
    assert len(notes) == 1
    assert "test.txt, train.txt: these lists do not define the splits; sort the" in notes[0]


def test_images_that_lose_their_proportions_are_told(tmp_path):
    for name, size in (("wide", (20, 10)), ("square", (16, 16)), ("nearly", (33, 32))):
        Image.new("L", size).save(tmp_path / f"{name}.png")
    assert open_images(str(tmp_path), size=16).notes == [
        f"{tmp_path}/: images of 10x20 are stretched to 16x16; --aspect crop reads the central "
        "part of each in these proportions, --aspect pad all of it."
    ]
    assert "16x16 and" not in open_images(str(tmp_path), size="10x20").notes[0]


def test_all_unreadable_files_are_listed_at_once(tmp_path):
    """Broken header, broken end, nothing at all, a link to nowhere: one error."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for name in ("good.png", "cut.png", "cut.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
    for name in ("cut.png", "cut.jpg"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(Error) as error:
        open_images(str(tmp_path), 64, 3).split("train")
    text = str(error.value)
    assert text.startswith(f"{tmp_path}/ holds 5 unreadable of 6 images: cut.jpg (image file is tr")
    assert text.endswith("Repair or remove them, or leave them out by --skip-unreadable.")
    for part in ("cut.png (", "empty.png (0 bytes)", "text.png (not an image that Pillow knows)"):
        assert part in text
    assert "gone.png (No such file or directory)" in text
    assert "good.png" not in text


def test_a_truncated_file_alone_is_refused_at_the_start(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    data = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(
        Error, match=r"1 unreadable of 1 images: cut\.jpg \(image file is truncated"
    ):
        open_images(str(tmp_path), 64, 1).split("train")


def test_more_than_ten_unreadable_files_are_counted(tmp_path):
    for at in range(13):
        (tmp_path / f"{at:02}.png").touch()
    with pytest.raises(Error, match=r"13 unreadable of 13 .*09\.png \(0 bytes\) and 3 more\. Rep"):
        open_images(str(tmp_path)).split("train")


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", guarded)
    text = r"closed cannot be listed \(Permission denied\); allow reading it, or move it"
    with pytest.raises(Error, match=text):
        open_images(str(tmp_path)).split("train")


def test_files_have_one_or_three_channels(tmp_path):
    picture(tmp_path / "a.png")
    with pytest.raises(Error, match="which have 1 or 3 channels, not 5; for other counts give an"):
        open_images(str(tmp_path), 4, 5).split("train")


def test_grey_and_colour_together_are_colour(tmp_path):
    picture(tmp_path / "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    assert open_images(str(tmp_path)).shape == (3, 4, 4)


def test_an_unreadable_file_reaches_the_user_even_from_many_threads(tmp_path):
    """Large images are decoded by several threads; none of them may lose an error."""
    noise = np.random.default_rng(0).integers(0, 255, (140, 140), dtype=np.uint8)
    for at in range(40):
        Image.fromarray(noise).save(tmp_path / f"{at:02}.png")
    data = (tmp_path / "33.png").read_bytes()
    (tmp_path / "33.png").write_bytes(data[:-3000])
    with pytest.raises(Error, match=r"1 unreadable of 40 images: 33\.png"):
        open_images(str(tmp_path)).split("train")


def test_rows_stand_at_their_names_however_threads_end(tmp_path, monkeypatch):
    monkeypatch.setattr("latentia.data.image_files.SMALL_IMAGE_PIXELS", 0)
    monkeypatch.setattr("latentia.data.image_files.count_processors", lambda: 4)
    for level in range(200):
        picture(tmp_path / f"{level:03}.png", level)
    original = ImageFiles.__dict__["decode_into"]

    def slow_start(self, out, prep):
        fetch = self.fetch_files

        def late(start, stop):
            time.sleep(0.05 if start == 0 else 0)
            return fetch(start, stop)

        self.fetch_files = late
        original(self, out, prep)

    monkeypatch.setattr(ImageFiles, "decode_into", slow_start)
    found = every(open_images(str(tmp_path)))
    assert found == {f"{level:03}.png": (level, None) for level in range(200)}
    assert open_images(Source(str(tmp_path), Reading(seed=3))).split("train").keys != []


def test_folders_called_as_splits_are_said_to_be_ordinary(tmp_path):
    for name in ("train", "val", "test", "cat"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name / "a.png")
    (note,) = open_images(str(tmp_path)).notes
    assert "test, train, val: read as any other folder" in note
    with pytest.raises(Error, match=r"https://x\.org/a is an address, .*; add --stream, or give"):
        open_images("https://x.org/a").split("all")
    with pytest.raises(Error, match=r"digts does not exist; did you mean digits\? give"):
        open_images("digts").to_metadata()


def draw_study(folder, splits, classes=("healthy", "ill"), n=24):
    """n images of different grey levels, dealt out to class folders of split folders."""
    for k in range(n):
        place = folder / splits[k % len(splits)] / classes[k // len(splits) % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 2 * k, np.uint8)).save(place / f"{k:03}.png")
    return str(folder)


def describe_splits(images):
    return {
        name: {key.partition("/")[0] for key in images.split(name).keys}
        for name in ("train", "validation", "test")
    }


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("train", "val", "test"), ({"train"}, {"val"}, {"test"})),
        (("train", "valid", "test"), ({"train"}, {"valid"}, {"test"})),
        (("train", "validation"), ({"train"}, {"validation"}, {"train"})),
        (("train", "test"), ({"train"}, {"train"}, {"test"})),
        (("Training", "Testing"), ({"Training"}, {"Training"}, {"Testing"})),
    ],
)
def test_split_folders_with_class_folders_are_the_authors_splits(folders, expected, tmp_path):
    images = open_images(draw_study(tmp_path, folders))
    assert tuple(describe_splits(images).values()) == expected
    assert images.classes == {"label": ["healthy", "ill"]}
    everything = images.split("all")
    assert len(everything) == 24
    batch = everything.get_batch(slice(None))
    for key, pixels, label in zip(
        everything.keys, batch.image, batch.columns["label"], strict=True
    ):
        assert round(float(pixels[0, 0, 0]) * 255) == 2 * int(key[-7:-4])
        assert key.split("/")[1] == ["healthy", "ill"][label]
    splits, labels = images.notes
    assert "are the splits; --splits seeded reads them as any other" in splits
    assert "the folders of level 2 are the labels (healthy, ill)." in labels


def test_splits_of_the_source_can_be_drawn_by_seed_instead(tmp_path):
    place = draw_study(tmp_path / "study", ("train", "val", "test"), n=120)
    seeded = open_images(Source(place, Reading(splits="seeded")))
    assert seeded.classes == {"label": ["test", "train", "val"]}
    assert all(len(names) > 1 for names in describe_splits(seeded).values())
    own = open_images(place)
    assert own.to_metadata()["fingerprint"] != seeded.to_metadata()["fingerprint"]
    again = Images.from_metadata(own.to_metadata())
    assert (again.source.reading.splits, own.to_metadata()["split"]["splits"]) == ("own", "own")
    np.savez(
        tmp_path / "a.npz",
        x_train=np.zeros((60, 8, 8), np.uint8),
        x_test=np.ones((60, 8, 8), np.uint8),
    )
    levels = {
        splits: {len({*map(float, images.split("test")[:].flatten())})}
        for splits in ("own", "seeded")
        for images in [open_images(Source(str(tmp_path / "a.npz"), Reading(splits=splits)))]
    }
    assert levels == {"own": {1}, "seeded": {2}}


@pytest.mark.parametrize("others", [("train",), ("test", "val"), ("train", "test", "cat")])
def test_folders_of_these_names_are_ordinary_where_they_are_no_layout_of_splits(others, tmp_path):
    images = open_images(draw_study(tmp_path, others))
    assert len(images.split("all")) == 24
    # a folder that holds all images is no label, but those in it are
    assert images.classes == {"label": sorted(others) if len(others) > 1 else ["healthy", "ill"]}


def test_split_folders_without_class_folders_have_no_labels(tmp_path):
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name / "a.png")
    images = open_images(str(tmp_path))
    assert describe_splits(images)["test"] == {"test"}
    assert images.classes == {}
    (note,) = images.notes
    assert "test, train are the splits; --splits seeded reads them as any other folder" in note


def test_a_test_split_without_class_folders_costs_train_no_label(tmp_path):
    """As competitions have it: the labels of the test are secret."""
    draw_study(tmp_path, ("train",))
    (tmp_path / "test").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "test" / "a.png")
    images = open_images(str(tmp_path))
    assert images.classes == {"label": ["healthy", "ill"]}
    assert images.split("test").columns["label"].tolist() == [-1]
    assert min(images.split("train").columns["label"]) == 0
    assert (
        "test, train are the splits; --splits seeded reads them as any other folder"
        in images.notes[0]
    )
    assert "the folders of level 2 are the labels (healthy, ill)." in images.notes[1]


def test_a_name_that_is_not_utf8_has_a_key_that_every_file_can_hold(tmp_path):
    for k, name in enumerate((b"caf\xe9.png", "café.png".encode(), b"\xff/a.png")):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(path)
    split = open_images(str(tmp_path)).split("all")
    levels = (split[:].flatten(1)[:, 0] * 255).round().int().tolist()
    expected = {"caf\\xe9.png": 0, "café.png": 1, "\\xff/a.png": 2}
    assert dict(zip(split.keys, levels, strict=True)) == expected
    assert all(key.encode("utf-8") for key in split.keys)
    assert split.index_of("caf\\xe9.png") is not None
