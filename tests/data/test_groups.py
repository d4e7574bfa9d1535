"""What belongs together stays in one split."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from data.shards import counted
from data.test_layouts import read, write_images
from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.name_matching import strip_pages
from latentia.data.reading import Reading
from latentia.data.splits import SPLIT_NAMES, assign_rows


def assign(groups, seed=0, validation=1 / 12, **parts):
    groups = np.asarray(groups)
    return assign_rows(parts or {"train": len(groups)}, seed, validation, groups, False)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["equal", "unequal", "one large"])
def test_no_group_lies_in_two_splits_and_none_is_lost(seed, kind):
    draw = np.random.default_rng(seed)
    groups = {
        "equal": np.arange(400) // 5,
        "unequal": np.sort(draw.geometric(0.03, 400)),
        "one large": np.maximum(np.arange(400) - 360, 0),
    }[kind]
    groups = draw.permutation(groups)
    rows = assign(groups, seed)
    assert sorted(torch.cat([*rows.values()]).tolist()) == list(range(400))
    found = [{*groups[rows[name].numpy()].tolist()} for name in SPLIT_NAMES]
    assert sum(map(len, found)) == len(set().union(*found)) == len({*groups.tolist()})
    assert all(found)


@pytest.mark.parametrize("seed", range(6))
def test_the_test_is_as_near_to_a_tenth_as_one_more_or_one_fewer_group_can_bring_it(seed):
    draw = np.random.default_rng(seed)
    groups = draw.permutation(np.repeat(np.arange(40), draw.integers(1, 30, 40)))
    rows, goal = assign(groups, seed), round(len(groups) / 10)
    sizes = np.bincount(groups)
    inside = {*groups[rows["test"].numpy()].tolist()}
    error = abs(len(rows["test"]) - goal)
    for group in range(40):
        change = -sizes[group] if group in inside else sizes[group]
        if len(rows["test"]) > goal or group not in inside:
            assert error <= abs(len(rows["test"]) + change - goal)


@pytest.mark.parametrize(
    ("size", "count", "test"), [(6, 16, 12), (7, 14, 7), (19, 10, 19), (50, 3, 50), (4, 30, 12)]
)
def test_groups_of_one_size_come_as_near_to_a_tenth_as_they_can(size, count, test):
    """16 groups of 6 are 96 images: two of them are nearer to 10 than one."""
    rows = assign(np.repeat(np.arange(count), size))
    assert len(rows["test"]) == test


@pytest.mark.parametrize("parts", [{"train": 300}, {"train": 200, "test": 100}])
def test_groups_of_one_image_are_drawn_as_images_are(parts):
    plain = assign_rows(parts, 3, 1 / 12)
    for groups in (np.arange(300), np.arange(300) + 7):
        rows = assign(groups, 3, **parts)
        assert all(torch.equal(rows[name], plain[name]) for name in SPLIT_NAMES)


def write_stacks(folder, pages):
    """Files of so many pages each."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, count in enumerate(pages):
        first, *rest = [Image.fromarray(np.full((4, 4), k, np.uint8)) for _ in range(count)]
        first.save(folder / f"{k:03}.tif", save_all=True, append_images=rest)
    return str(folder)


def find_split_of(images, name=lambda key: key.partition("#")[0]):
    """Return the splits of each group, by a function of the key."""
    found = {}
    for split in SPLIT_NAMES:
        for key in images.split(split).keys:
            found.setdefault(name(key), set()).add(split)
    return found


@pytest.mark.parametrize("pages", [[5] * 40, [9, 3, 1] * 8, [50] * 3])
def test_pages_of_a_file_stay_in_one_split(pages, tmp_path):
    images = open_images(write_stacks(tmp_path, pages))
    found = find_split_of(images)
    assert len(found) == len(pages)
    assert all(len(splits) == 1 for splits in found.values())
    assert all(len(images.split(name)) for name in SPLIT_NAMES)
    note = next(note for note in images.notes if "Pages of one file stay" in note)
    assert f"of {len(pages)} (test: {len(images.split('test')) / sum(pages):.1%}" in note


def test_single_pages_are_drawn_as_single_images(tmp_path):
    images = open_images(write_stacks(tmp_path, [1] * 200))
    plain = assign_rows({"train": 200}, 0, 1 / 12)
    assert all(torch.equal(images.split(name).rows, plain[name]) for name in SPLIT_NAMES)
    assert not any("split" in note for note in images.notes)


@pytest.mark.parametrize("pages", [[60], [30, 30]])
def test_pages_of_one_or_two_files_are_drawn_singly_and_a_line_says_so(pages, tmp_path):
    images = open_images(write_stacks(tmp_path, pages))
    assert [len(images.split(name)) for name in SPLIT_NAMES] == [50, 4, 6]
    assert "Pages of one file are in several splits, as the data hold only" in images.notes[-1]


def write_study(folder, patients=20, each=6, split=""):
    """Images of patients, with a table that names them, but not all."""
    keys = [f"{split}{k % 2}/{k % patients:02}_{k}.png" for k in range(patients * each)]
    rows = [f"{key},p{key.split('/')[-1][:2]}" for key in keys]
    write_images(folder, keys)
    rows[0] = f"{keys[0]},"
    (folder / "metadata.csv").write_text("\n".join(["file_name,patient", *rows]))
    return str(folder)


def take_patient(key):
    return key.split("/")[-1][:2]


@pytest.mark.parametrize("options", [{"group": "patient"}, {"group_regex": r"/(\d\d)_"}])
def test_images_of_a_group_stay_in_one_split(options, tmp_path):
    folder = write_study(tmp_path)
    missing = "0/00_0.png" if "group" in options else None
    together = find_split_of(read(folder, **options), lambda k: k == missing or take_patient(k))
    assert all(len(splits) == 1 for splits in together.values())
    apart = find_split_of(read(folder), take_patient)
    assert any(len(splits) > 1 for splits in apart.values())
    images = read(folder, **options)
    assert "Images of one group (--group" in images.notes[-1]
    again = open_images(Source(folder, Reading.from_metadata(images.to_metadata())))
    assert again.split("test").keys == images.split("test").keys


def test_groups_may_be_of_a_table_or_nearly_all_different(tmp_path):
    """A patient with one or two images is a group as any other."""
    keys = [f"{k:02}.png" for k in range(60)]
    folder = write_images(tmp_path, keys)
    rows = "".join(f"{key},p{int(key[:2]) * 2 // 3:02}\n" for key in keys)
    (tmp_path / "t.csv").write_text(f"file,patient\n{rows}")
    in_table = open_images(Source(folder, Reading(group="patient"), str(tmp_path / "t.csv")))
    in_table.split("train")
    (tmp_path / "t.csv").rename(tmp_path / "metadata.csv")
    for images in (in_table, read(folder, group="patient")):
        splits = find_split_of(images, lambda key: int(key[:2]) * 2 // 3)
        assert len(splits) == 40
        assert all(len(each) == 1 for each in splits.values())


def test_group_regex_takes_a_match_and_leaves_others_alone(tmp_path):
    keys = [f"m{k % 10}/{k}.png" for k in range(60)] + [f"{k}.png" for k in range(20)]
    found = find_split_of(
        read(write_images(tmp_path, keys), group_regex="^m[0-9]"), lambda k: k.partition("/")[0]
    )
    assert len(found) == 30
    assert all(len(splits) == 1 for splits in found.values())


def test_order_of_the_files_on_the_disk_is_of_no_importance(tmp_path):
    up, down = [f"{k % 10}/{k:02}.png" for k in range(60)], []
    down = up[::-1]
    splits = [
        find_split_of(read(write_images(tmp_path / name, keys), group_regex="^."), str)
        for name, keys in (("up", up), ("down", down))
    ]
    assert splits[0] == splits[1]


def test_groups_in_two_splits_of_the_source_are_said(tmp_path):
    write_study(tmp_path, split="train/")
    write_images(tmp_path, [f"test/0/{k:02}_x.png" for k in (3, 4)])
    images = read(tmp_path, group_regex=r"/(\d\d)_")
    assert "But 2 are in two splits of the source; see --splits seeded." in images.notes[-1]
    seeded = read(tmp_path, group_regex=r"/(\d\d)_", splits="seeded")
    assert all(len(splits) == 1 for splits in find_split_of(seeded, take_patient).values())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"group_regex": "png"}, r"--group-regex png makes 1 group, too few for whole ones"),
        ({"group_regex": r"^\d"}, r"makes 2 groups, too few .* or --validation 0"),
        (
            {"group": "mouse"},
            "The source has no column mouse; name one of its columns: patient",
        ),
        ({"group": "patient", "group_regex": "png"}, "--group and --group-regex"),
    ],
)
def test_groups_that_cannot_be_meant_are_one_sentence(options, text, tmp_path):
    folder = write_study(tmp_path)
    with pytest.raises(Error, match=text):
        read(folder, **options).split("train")


@pytest.mark.parametrize("shards", [3, 14])
def test_groups_of_streamed_images_stay_in_one_split_whatever_their_shards(shards, tmp_path):
    folder = counted(tmp_path / "s", shards=shards, each=84 // shards)
    images = read(folder, stream=True, group_regex=r"\d$")  # the last digit
    keys = images.split("all").keys
    assert len(keys) == 84
    found = find_split_of(images, lambda key: re.search(r"\d$", key)[0])
    assert all(len(splits) == 1 for splits in found.values())
    split = images.split("train")
    order = split.draw_order(torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == list(range(len(split)))


def test_two_groups_are_enough_without_validation(tmp_path):
    images = read(write_study(tmp_path), group_regex=r"^\d", validation=0)
    assert [len(images.split(name)) for name in SPLIT_NAMES] == [60, 0, 60]


@pytest.mark.parametrize(
    "data", ["digits:60", np.eye(60, 16, dtype=np.uint8).reshape(60, 4, 4) * 255]
)
def test_images_whose_keys_are_numbers_are_no_pages(data):
    images, plain = open_images(data), assign_rows({"train": 60}, 0, 1 / 12)
    assert all(torch.equal(images.split(name).rows, plain[name]) for name in SPLIT_NAMES)
    assert images.notes == []


def test_only_keys_of_several_pages_are_pages():
    keys = ["img#1.png", "img#2.png", "scan#1", "scan#2", "a.tif#0", "a.tif#1", "a.tif#2", "b#0"]
    files = ["a.tif" if key.startswith("a.tif") else key for key in keys]
    assert strip_pages(keys) == files
