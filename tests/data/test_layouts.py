"""Folders are read as their owner means them, and a line says how else they can be read."""

import re

import datasets
import numpy as np
import pytest
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Images, Source, open_images
from latentia.data.reading import Reading

SPLITS = ("train", "validation", "test")


def write_images(folder, keys):
    """Image k is of grey 255 - k."""
    for k, key in enumerate(keys):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 255 - k, np.uint8)).save(path)
    return str(folder)


def number(*folders, n=12):
    """Keys of n images, dealt out to the folders."""
    return [f"{folders[k % len(folders)]}/{k:02}.png" for k in range(n)]


def read(folder, **options):
    return open_images(Source(str(folder), Reading(**options)))


def find_labels(images, column="label"):
    """Return the label of each key; None: missing."""
    split = images.split("all")
    names, codes = split.classes[column], split.columns[column].tolist()
    values = [names[k] if k >= 0 else None for k in codes] if names else codes
    return dict(zip(split.keys, values, strict=True))


def find_splits(images, level=0):
    return {name: {key.split("/")[level] for key in images.split(name).keys} for name in SPLITS}


@pytest.mark.parametrize(
    ("folders", "validation", "test"),
    [
        (("TRAIN/a", "Val/b", "tEst/a"), {"Val"}, {"tEst"}),
        (("train/a", "dev/b", "eval/a"), {"dev"}, {"eval"}),
        (("Train/x/a", "Valid/y/b", "evaluation/x/b"), {"Valid"}, {"evaluation"}),
        (("training/a", "validation/b", "testing/c"), {"validation"}, {"testing"}),
        (("training_set/a", "val_set/b", "test-set/c"), {"val_set"}, {"test-set"}),
        (("train2017/a", "val2017/b", "test2017/c"), {"val2017"}, {"test2017"}),
        (("seg_train/seg_train/a", "seg_val/seg_val/b", "seg_test/seg_test/a"), {"seg_val"},
         {"seg_test"}),
        (("1_Train/a", "2_Val/b", "3_Test/c"), {"2_Val"}, {"3_Test"}),
        (("train_images/a", "valid_images/b", "test_images/c"), {"valid_images"}, {"test_images"}),
        (("Entrenamiento/a", "Validación/b", "Prueba/c"), {"Validación"}, {"Prueba"}),
        (("Apprentissage/a", "Validation/b", "Test/c"), {"Validation"}, {"Test"}),
        (("Trainingsdaten/a", "Validierung/b", "Testdaten/c"), {"Validierung"}, {"Testdaten"}),
        (("训练集/a", "验证集/b", "测试集/c"), {"验证集"}, {"测试集"}),
    ],
)  # fmt: skip
def test_names_of_splits_are_those_of_the_hub_in_any_case(folders, validation, test, tmp_path):
    keys = number(*folders)
    images = open_images(write_images(tmp_path, keys))
    found = find_splits(images)
    assert (found["validation"], found["test"]) == (validation, test)
    assert find_labels(images) == {key: key.split("/")[1] for key in keys}
    levels = (images.split("all")[:].flatten(1)[:, 0] * 255).round().int().tolist()
    assert dict(zip(images.split("all").keys, levels, strict=True)) == {
        key: 255 - k for k, key in enumerate(keys)
    }


def test_a_run_of_other_rules_is_refused(tmp_path):
    metadata = read(write_images(tmp_path, number("train/a", "dev/b"))).to_metadata()
    metadata["reading"]["rules"] += 1
    with pytest.raises(Error, match="--rules"):
        Images.from_metadata(metadata)


@pytest.mark.parametrize(
    ("folders", "text"),
    [
        (("train/a", "val/b"), "The test split is drawn from train by seed"),
        (("train/a", "test/b"), "The validation split is drawn from train by seed"),
    ],
)
def test_a_split_that_has_no_folder_is_said_to_be_drawn(folders, text, tmp_path):
    write_images(tmp_path, number(*folders, n=40))
    (tmp_path / "test").mkdir(exist_ok=True)  # may be empty
    images = open_images(str(tmp_path))
    assert all(len(images.split(name)) for name in SPLITS)
    assert text in images.notes[0]


@pytest.mark.parametrize(
    ("keys", "classes", "text"),
    [
        (["x.png", *number("train/a", "val/b")], None, "x.png lies elsewhere"),
        (number("train/a", "val/b", "cat/c"), ["cat", "train", "val"], "cat/c/02.png lies els"),
        (number("val/a", "test/b"), ["test", "val"], "test, val: read as any other folder"),
        (number("train/a", "train/b"), ["a", "b"], "train: read as any other folder"),
        (number("bullet train/x/a", "crash test/y/b"), ["bullet train", "crash test"],
         "Splits are folders train and val or test that hold all images; bullet train/"),
        (number("a/train", "b/train"), ["a", "b"], "train: read as any other folder"),
        (number("a/train", "b/train/x", "b/cat/test"), ["a", "b"], "train: read as any other fol"),
    ],
)  # fmt: skip
def test_no_image_of_an_ordinary_folder_is_lost_and_a_line_says_how(keys, classes, text, tmp_path):
    images = open_images(write_images(tmp_path, keys))
    assert sorted(images.split("all").keys) == sorted(keys)
    assert images.classes == ({"label": classes} if classes else {})
    lines = [note for note in images.notes if "splits" in note.lower()]
    assert len(lines) == 1
    assert re.search(text, lines[0]), lines[0]


@pytest.mark.parametrize(
    ("folders", "level", "labels"),
    [
        (("set/train/a", "set/val/b", "set/test/a"), 1, ["a", "b"]),
        (("x/archive/Training/a", "x/archive/Validation/b", "x/archive/Testing/b"), 2, ["a", "b"]),
        (("a/train", "a/val", "a/test", "b/train", "b/val", "b/test"), 1, ["a", "b"]),
        (("a/train/x", "b/val/y", "b/test/x"), 1, ["a", "b"]),
        (("images/train", "images/val", "images/test"), 1, None),
        (("x/train/a", "x/val/b", "x/test"), 1, ["a", "b"]),  # those of the test are secret
    ],
)
def test_splits_may_lie_within_other_folders(folders, level, labels, tmp_path):
    keys = number(*folders, n=36)
    images = open_images(write_images(tmp_path, keys))
    assert sorted(images.split("all").keys) == sorted(keys)
    assert [len(names) for names in find_splits(images, level).values()] == [1, 1, 1]
    for name, (folder,) in find_splits(images, level).items():
        assert folder.lower().startswith(name[:3])
    assert images.classes == ({"label": labels} if labels else {})
    levels = (images.split("all")[:].flatten(1)[:, 0] * 255).round().int().tolist()
    assert dict(zip(images.split("all").keys, levels, strict=True)) == {
        key: 255 - k for k, key in enumerate(keys)
    }
    if labels:
        parts = [*range(level), *range(level + 1, keys[0].count("/"))]
        for key, label in find_labels(images).items():
            assert label in {key.split("/")[k] for k in parts if k < key.count("/")} | {None}
    assert "are the splits; --splits seeded reads" in images.notes[0]


COLUMN = ["train", "train", "train", "val", "test", "train"]


@pytest.mark.parametrize("kind", ["metadata", "labels", "npz", "regex"])
def test_a_column_of_names_of_splits_gives_the_splits_and_is_no_label(kind, tmp_path):
    keys = [f"{COLUMN[k % 6]}_{k:02}.png" if kind == "regex" else f"{k:02}.png" for k in range(36)]
    folder = write_images(tmp_path / "set", keys)
    rows = "".join(f"{key},{COLUMN[k % 6]},{'ab'[k % 2]}\n" for k, key in enumerate(keys))
    table = tmp_path / ("set/metadata.csv" if kind == "metadata" else "labels.csv")
    table.write_text(f"file_name,Subset,kind\n{rows}")
    source = Source(folder, labels=str(table) if kind == "labels" else None)
    if kind == "regex":
        source = Source(folder, Reading(label_regex="(?P<set>train|val|test)_"))
    if kind == "npz":
        columns = {"Subset": np.array(COLUMN * 6), "kind": np.array(["a", "b"] * 18)}
        np.savez(tmp_path / "a.npz", x=np.zeros((36, 4, 4), np.uint8), **columns)
        source = Source(str(tmp_path / "a.npz"))
    images = open_images(source)
    wanted = {"train": "train", "val": "validation", "test": "test"}
    everything = images.split("all")
    numbers = [int(key.removesuffix(".png")[-2:]) for key in everything.keys]
    assert numbers == sorted(numbers) or kind == "regex"
    assert images.find_split_names(everything) == [wanted[COLUMN[k % 6]] for k in numbers]
    assert images.classes == ({} if kind == "regex" else {"kind": ["a", "b"]})
    name = "set" if kind == "regex" else "Subset"
    assert f"the splits are those of {name}; --splits seeded draws" in images.notes[-1]
    again = Images.from_metadata(images.to_metadata()).source.reading
    assert (again.splits, again.rules) == ("own", 3)


def test_a_column_of_splits_with_gaps_or_that_is_asked_for_is_a_label(tmp_path):
    keys = [f"{k:02}.png" for k in range(36)]
    folder, table = write_images(tmp_path / "set", keys), tmp_path / "labels.csv"
    table.write_text("file,split\n" + "".join(f"{k},{COLUMN[int(k[:2]) % 6]}\n" for k in keys))
    for reading in (Reading(splits="seeded"), Reading(label_kind="split=class")):
        images = open_images(Source(folder, reading, labels=str(table)))
        assert images.classes == {"split": ["test", "train", "val"]}
        assert len(find_splits(images)["test"]) == 4
    table.write_text("file,split\n" + "".join(f"{k},{COLUMN[int(k[:2]) % 6]}\n" for k in keys[1:]))
    images = open_images(Source(folder, labels=str(table)))
    assert "split" in images.classes
    assert images.notes[-1] == "split names no split of 1 image: it is read as a label."


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("train/images/{}.png", "train/labels/{}.png"),
        ("images/train/{}.png", "annotations/train/{}.png"),
        ("cat/{}.png", "cat/{}_mask.png"),
        ("imagesTr/{}_0000.png", "labelsTr/{}.png"),
        ("{}.jpg", "{}.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("{}.jpg", "ground truth/{}.png"),
    ],
)
def test_images_that_are_named_as_masks_of_others_are_told(images, masks, tmp_path):
    keys = [each.format(f"{k:02}") for k in range(6) for each in (images, masks)]
    (note,) = [n for n in open_images(write_images(tmp_path, keys)).notes if "masks" in n]
    assert f"6 images, such as {masks.format('00')}, are named as masks of others" in note
    assert len(keys) == 12
    assert "--exclude FILE, a list of their names" in note


def test_an_image_beside_the_folders_of_classes_is_named(tmp_path):
    keys = [*number("cat", "dog"), "overview.png"]
    images = open_images(write_images(tmp_path, keys))
    assert images.classes == {}
    text = (
        "there are no labels, since overview.png lies beside the folders cat, dog; --label-folder"
    )
    assert f"{text} 1 makes them labels." in images.notes[0]
    labels = find_labels(read(tmp_path, label_folder=1))
    assert labels == {k: k.split("/")[0] for k in keys[:-1]} | {"overview.png": None}


def test_splits_in_the_names_of_files_are_told_with_the_option(tmp_path):
    keys = [f"{'ab'[k % 2]}/{COLUMN[k % 6]}_{k}.png" for k in range(36)]
    (note,) = open_images(write_images(tmp_path, keys)).notes
    assert note.endswith("--label-regex '(?i)(?P<split>test|train|val)' makes these the splits.")
    regex = note.split("'")[1]
    images = read(tmp_path, label_regex=regex)
    assert {key.split("/")[1][:4] for key in images.split("test").keys} == {"test"}
    assert images.classes == {"label": ["a", "b"]}


def drop_number(name):
    return re.sub(r"[-_.]\d+$", "", name)


@pytest.mark.parametrize(
    "names",
    [("P1_{}", "P2_{}", "P3_{}"), ("cat.{}", "dog.{}", "cow.{}"), ("a b-{}", "c-{}", "d_{}")],
)
def test_prefixes_of_file_names_are_told_with_the_options(names, tmp_path):
    keys = [names[k % 3].format(k) for k in range(30)]
    write_images(tmp_path, [f"{key}.png" for key in keys])
    (note,) = read(tmp_path).notes
    assert f"file names begin with {', '.join(sorted({*map(drop_number, keys)}))}: 3 in" in note
    regex = re.search(r"--label-regex '(.*?)'", note)[1]
    labels = find_labels(read(tmp_path, label_regex=regex))
    assert labels == {f"{key}.png": drop_number(key) for key in keys}
    grouped = read(tmp_path, group_regex=regex, validation=0)
    assert not any("begin with" in each for each in grouped.notes)


def test_prefixes_that_are_splits_have_the_option_of_splits_alone(tmp_path):
    keys = [f"{('train', 'test')[k % 2]}_{k}.png" for k in range(30)]
    write_images(tmp_path, keys)
    (note,) = read(tmp_path).notes
    assert note.endswith("makes these the splits.")


def test_numbered_files_have_no_prefixes(tmp_path):
    write_images(tmp_path, [f"IMG_{k:04}.png" for k in range(8)])
    assert read(tmp_path).notes == []


def test_folders_of_equal_names_or_without_partners_are_no_masks(tmp_path):
    keys = [*number("cat"), *number("dog"), *number("labels", "masks")]
    keys += [f"{face}/{k}.png" for face in ("with_mask", "without_mask", "bad") for k in range(3)]
    keys += [f"mask_{k}.png" for k in range(3)]
    keys = [key.replace("labels/", "labels/x").replace("masks/", "masks/y") for key in keys]
    assert not [n for n in open_images(write_images(tmp_path, keys)).notes if "masks of" in n]


def test_label_folder_takes_the_folders_of_a_level(tmp_path):
    keys = number("cat/tom", "cat/kit", "dog/rex")
    folder = write_images(tmp_path, keys)
    species, names = read(folder), read(folder, label_folder=2)
    assert find_labels(species) == {key: key.split("/")[0] for key in keys}
    assert find_labels(names) == {key: key.split("/")[1] for key in keys}
    (note,) = species.notes
    assert "folders of level 1 are the labels (cat, dog); --label-folder 2 takes those of" in note
    assert "level 2 (kit, rex, tom)" in note
    assert names.notes == []
    assert names.to_metadata()["reading"]["label_folder"] == 2


def test_label_folder_counts_from_the_root_where_there_are_splits(tmp_path):
    keys = number("train/animal/cat", "test/animal/dog", "train/plant/oak")
    folder = write_images(tmp_path, keys)
    assert set(find_labels(read(folder)).values()) == {"animal", "plant"}
    assert "--label-folder 3 takes those of level 3 (cat, dog, oak)" in read(folder).notes[1]
    assert find_labels(read(folder, label_folder=3)) == {key: key.split("/")[2] for key in keys}
    both = read(folder, label_folder=3, splits="seeded")
    assert set(find_labels(both).values()) == {"cat", "dog", "oak"}


def test_one_folder_around_all_images_is_no_label(tmp_path):
    images = open_images(write_images(tmp_path / "a", number("photos/cat", "photos/dog")))
    assert images.classes == {"label": ["cat", "dog"]}
    assert "the folders of level 2 are the labels (cat, dog)." in images.notes[0]
    assert open_images(write_images(tmp_path / "b", number("photos"))).classes == {}


def test_images_without_a_folder_of_that_level_have_no_label_and_are_counted(tmp_path):
    folder = write_images(tmp_path, ["train/cat/a.png", "train/dog/b.png", "test/c.png"])
    images = read(folder, label_folder=2)
    assert find_labels(images) == {
        "train/cat/a.png": "cat",
        "train/dog/b.png": "dog",
        "test/c.png": None,
    }
    assert "--label-folder 2 finds no label in 1 of 3 images, such as test/c.png" in images.notes[1]
    with pytest.raises(Error, match=r"--label-folder 3 finds nothing in 3 keys, .* train/cat/a"):
        read(folder, label_folder=3).to_metadata()


def test_label_regex_makes_a_label_or_columns_of_its_groups(tmp_path):
    keys = [f"{kind}/m{mouse}_day{day}.png" for kind in "ab" for mouse in (1, 2) for day in (1, 2)]
    folder = write_images(tmp_path, keys)
    mouse = {key: key[3] for key in keys}
    assert find_labels(read(folder, label_regex=r"m(\d)")) == mouse
    assert find_labels(read(folder, label_regex="m[0-9]")) == {k: f"m{v}" for k, v in mouse.items()}
    named = read(folder, label_regex=r"(?P<mouse>m\d)_(?P<day>day.)")
    assert find_labels(named, "mouse") == {k: f"m{v}" for k, v in mouse.items()}
    assert set(find_labels(named, "day").values()) == {"day1", "day2"}
    assert set(find_labels(named).values()) == {"a", "b"}  # the folders, as ever


def test_numbers_that_label_regex_finds_are_as_in_a_table(tmp_path):
    folder = write_images(tmp_path, [f"d{k}_p{k:03}_c{k % 3 * 5}.png" for k in range(24)])
    images = read(folder, label_regex=r"d(?P<day>\d+)_p(?P<patient>\d+)_c(?P<dose>\d+)")
    assert (images.classes["day"], images.classes["dose"]) == (None, ["0", "5", "10"])
    assert images.classes["patient"] == [f"{k:03}" for k in range(24)]


def test_an_image_that_label_regex_does_not_match_has_no_label(tmp_path):
    keys = [*number("cat"), "odd.png"]
    images = read(write_images(tmp_path, keys), label_regex=r"^(\w+)/")
    assert find_labels(images) == dict.fromkeys(number("cat"), "cat") | {"odd.png": None}
    assert "finds no label in 1 of 13 images, such as odd.png" in images.notes[0]


@pytest.mark.parametrize("option", ["label_regex", "group_regex"])
def test_a_regex_that_cannot_be_meant_is_one_sentence(option, tmp_path):
    folder, flag = write_images(tmp_path, number("cat")), f"--{option.replace('_', '-')}"
    with pytest.raises(Error, match=rf"{flag} \( is no regular expression \(.*; correct it"):
        read(folder, **{option: "("}).split("all")
    with pytest.raises(
        Error, match=rf"{flag} zebra finds nothing in 12 keys, such as cat/00.png; give"
    ):
        read(folder, **{option: "zebra"}).split("all")


@pytest.mark.parametrize("shape", ["one", "splits"])
def test_a_folder_that_datasets_saved_is_read(shape, tmp_path):
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )

    def make(levels):
        pictures = [Image.fromarray(np.full((4, 4), k, np.uint8)) for k in levels]
        rows = {"image": pictures, "label": [k % 2 for k in levels]}
        return datasets.Dataset.from_dict(rows, features=features)

    if shape == "one":
        make(range(40)).save_to_disk(tmp_path / "set")
    else:
        parts = {
            "train": make(range(20)),
            "valid": make(range(20, 30)),
            "test": make(range(30, 40)),
        }
        datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    images = open_images(str(tmp_path / "set"))
    everything = images.split("all")
    levels = (everything[:].flatten(1)[:, 0] * 255).round().int().tolist()
    assert levels == list(range(40))
    assert images.classes == {"label": ["cat", "dog"]}
    assert everything.columns["label"].tolist() == [k % 2 for k in range(40)]
    if shape == "splits":
        assert images.to_metadata()["count"] == {"train": 20, "validation": 10, "test": 10}


def test_arrow_files_that_are_no_saved_data_set_are_one_sentence(tmp_path):
    (tmp_path / "a.arrow").write_bytes(b"ARROW1")
    with pytest.raises(Error, match=r"cannot be read as parquet \(Directory .* neither"):
        open_images(str(tmp_path)).to_metadata()


def test_folds_are_no_labels_where_others_are(tmp_path):
    images = open_images(write_images(tmp_path / "a", number("fold1/x", "fold_2/y", "Fold 3/x")))
    assert images.classes == {"label": ["x", "y"]}
    images = open_images(write_images(tmp_path / "b", number("fold1", "fold2")))
    assert images.classes == {"label": ["fold1", "fold2"]}


def test_domains_of_splits_are_read_with_a_line(tmp_path):
    images = open_images(write_images(tmp_path, number("trainA", "trainB", "testA", "testB")))
    assert "testA, testB, trainA, trainB: read as any other folder" in images.notes[0]


def test_numbers_with_a_unit_are_classes_and_a_line_says_so(tmp_path):
    folder = write_images(tmp_path, [f"{name}.png" for name in "abcd"])
    units = [("5 mm", "5%"), ("10 mm", "7%"), ("5 mm", "7%"), ("10 mm", "5%")]
    rows = [f"{k}.png,{long},{part},p1,{k}" for k, (long, part) in zip("abcd", units, strict=True)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,long,part,who,x", *rows]))
    notes = open_images(folder).notes
    lines = [note for note in notes if "is not read as numbers, since its values end in" in note]
    assert [line.split()[0] for line in lines] == ["long", "part"]
    assert "end in 'mm'; give the numbers without it to have them" in lines[0]


def test_classes_that_differ_only_in_capitals_are_named(tmp_path):
    images = open_images(write_images(tmp_path, number("Cat", "cat", "cat ", "dog")))
    text = "label has classes that differ only in capitals or spaces: 'Cat', 'cat', 'cat '; they"
    assert text in images.notes[0]
