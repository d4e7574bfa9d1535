"""Parquet in the hub's layout: by our own placing of files, through the code of hub names."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.reading import Reading
from latentia.data.sources.table import group_by_split

SHARED = Path(__file__).parents[3] / "shared" / "data"


def encoded(level, size=(4, 4)):
    data = BytesIO()
    Picture.fromarray(np.full(size, level, np.uint8)).save(data, "PNG")
    return data.getvalue()


def table(path, levels, image="image", **columns):
    """A parquet file as the hub writes it: bytes and path, with the features in its metadata."""
    from datasets import ClassLabel, Dataset, Features, Image, Value

    names = [str(digit) for digit in range(10)]
    features = {image: Image(), "label": ClassLabel(names=names)}
    features |= {name: Value(kind) for name, (kind, _) in columns.items()}
    rows = {
        image: [{"bytes": encoded(level), "path": None} for level in levels],
        "label": [level % 10 for level in levels],
    } | {name: values for name, (_, values) in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(rows, features=Features(features)).to_parquet(path)


def levels(split):
    return (split.get_batch(slice(None)).image.mean((1, 2, 3)) * 255).round().int().tolist()


def test_hub_layout(tmp_path):
    table(tmp_path / "train-00000-of-00002.parquet", range(6))
    table(tmp_path / "train-00001-of-00002.parquet", range(6, 10))
    table(tmp_path / "test-00000-of-00001.parquet", range(20, 25))
    images = open_images(Source(str(tmp_path), Reading(validation=0.2)))
    train, validation, test = map(images.split, ("train", "validation", "test"))
    assert levels(test) == [20, 21, 22, 23, 24]
    assert test.keys == [f"test/{row}" for row in range(5)]
    assert [f"train/{level}" for level in levels(train)] == train.keys
    assert sorted(levels(train) + levels(validation)) == list(range(10))
    assert train.columns["label"].tolist() == levels(train)
    assert images.to_metadata()["labels"] == {"label": [str(digit) for digit in range(10)]}


@pytest.mark.parametrize(
    "names",
    [
        ("train.parquet", "extra.parquet", "test.parquet"),  # datasets would drop the extra one
        ("train/0.parquet", "train/1.parquet", "test/0.parquet"),
        ("data/train-0.parquet", "data/more.parquet", "data/test-0.parquet"),
    ],
)
def test_every_parquet_file_is_used(tmp_path, names):
    for at, name in enumerate(names):
        table(tmp_path / name, [10 * at, 10 * at + 1])
    images = open_images(Source(str(tmp_path), Reading(validation=0)))
    assert sorted(levels(images.split("train"))) == [0, 1, 10, 11]
    assert levels(images.split("test")) == [20, 21]


def test_a_folder_is_one_folder_however_its_name_is_written(tmp_path, monkeypatch):
    table(tmp_path / "photos" / "train.parquet", range(6))
    written = open_images(Source(str(tmp_path / "photos"))).split("train")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "latentia.data.sources.table.TableReader.load_splits", None
    )  # nothing is read a second time
    assert levels(open_images(Source("photos/")).split("train")) == levels(written)


def test_one_parquet_file_whatever_its_name(tmp_path):
    table(tmp_path / "test.parquet", range(10))
    images = open_images(Source(str(tmp_path / "test.parquet"), Reading(validation=0)))
    assert len(images.split("train")) == 9
    assert len(images.split("test")) == 1


def test_columns_of_numbers_and_of_few_words(tmp_path):
    table(
        tmp_path / "a.parquet",
        range(20, 26),
        image="img",
        year=("int32", [1990, 1991, 1992, 1993, 1994, 1995]),
        doors=("float64", [2.0, 4.0, 4.0, 2.0, 4.0, 2.0]),
        make=("string", ["b", "a", "b", "a", "a", "b"]),
        text=("string", ["u", "v", "w", "x", "y", "z"]),
        holes=("int32", [1, None, 3, 4, 5, 6]),
    )
    images = open_images(Source(str(tmp_path / "a.parquet"), Reading(validation=0)))
    split = images.split("train")
    assert split.classes["make"] == ["a", "b"]
    rows = [int(key.split("/")[-1]) for key in split.keys]
    assert split.columns["year"].tolist() == rows
    assert split.classes["year"] == [str(1990 + row) for row in range(6)]
    holes = [[0, -1, 1, 2, 3, 4][row] for row in rows]  # a missing value costs its column only
    assert (split.columns["holes"].tolist(), split.classes["holes"]) == (holes, [*"13456"])
    assert split.columns["make"].tolist() == [[1, 0, 1, 0, 0, 1][row] for row in rows]
    assert images.notes == [
        "Not used as labels, since nearly every value is different: text;"
        " --label-kind text=class uses text."
    ]


def test_no_image_column(tmp_path):
    from datasets import Dataset

    Dataset.from_dict({"x": [1], "words": ["a"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(Error) as error:
        open_images(str(tmp_path / "a.parquet")).split("train")
    assert str(error.value) == (
        f"{tmp_path}/a.parquet has no image column: it has x (int64), words (string); it must have"
        " a column image or img that holds the bytes of image files."
    )


def test_plain_bytes_in_a_column_called_image(tmp_path):
    from datasets import Dataset

    data = {"image": [encoded(level) for level in range(3)]}
    Dataset.from_dict(data).to_parquet(tmp_path / "a.parquet")
    images = open_images(Source(str(tmp_path / "a.parquet"), Reading(validation=0)))
    assert levels(images.split("train")) == [0, 1, 2]


def test_unreadable_rows_are_named(tmp_path):
    from datasets import Dataset

    Dataset.from_dict({"image": [encoded(1), b"", None]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(
        Error, match=r"2 unreadable of 3 images: train/1 \(0 bytes\), train/2 \(0 b"
    ):
        open_images(str(tmp_path / "a.parquet")).split("train")


def test_broken_parquet(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(Error, match=r"a\.parquet cannot be read as parquet \(.*copy or write"):
        open_images(str(tmp_path / "a.parquet")).split("train")


def test_no_train_split(tmp_path):
    table(tmp_path / "test-0.parquet", range(3))
    table(tmp_path / "validation-0.parquet", range(3))
    with pytest.raises(
        Error, match="has the splits test, validation, and none is called train; gi"
    ):
        open_images(str(tmp_path)).split("train")


def test_no_rows(monkeypatch):
    import datasets

    empty = datasets.Dataset.from_dict({"image": []})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: {"train": empty})
    with pytest.raises(Error, match=r"hub:a/b has no rows; give a data set with images\."):
        open_images("hub:a/b").split("train")


def test_offline(monkeypatch):
    import datasets

    def fails(*names, **how):
        raise ConnectionError("Couldn't reach the Hub\nand a page more")

    monkeypatch.setattr(datasets, "load_dataset", fails)
    with pytest.raises(Error) as error:
        open_images("mnist").split("train")
    assert str(error.value) == (
        "mnist is not in the local cache and cannot be fetched from the hub (Couldn't reach the"
        " Hub); connect to the network once, check the name, or give a folder that holds its"
        " parquet files."
    )


@pytest.mark.parametrize("reached", [True, False])
def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch, reached):
    """The library by itself asks six times, 25 seconds long."""
    import datasets
    import huggingface_hub

    def asked(*_, **__):
        if not reached:
            raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", asked)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    seen = []

    def fails(*_):
        seen.append(datasets.config.HF_HUB_OFFLINE)
        raise ConnectionError("offline mode is enabled")

    monkeypatch.setattr(datasets, "load_dataset", fails)
    said = "offline mode" if reached else "Name or service not known"
    with pytest.raises(Error, match=rf"cannot be fetched from the hub \({said}"):
        open_images("hub:a/b").split("train")
    assert seen == [not reached]
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("data", "asked"),
    [("mnist", ("ylecun/mnist", None)), ("hub:a/b", ("a/b", None)), ("hub:a/b:c", ("a/b", "c"))],
)
def test_hub_names_and_splits_that_are_not_used(tmp_path, monkeypatch, data, asked):
    import datasets

    table(tmp_path / "a.parquet", range(20, 30))
    held = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path))
    seen = []

    def gives(*names):
        seen.append(names)
        return datasets.DatasetDict({"extra": held, "test": held, "train": held})

    monkeypatch.setattr(datasets, "load_dataset", gives)
    images = open_images(data)
    assert images.split("test").keys[0] == "test/0"
    assert images.notes == [f"{data}: splits not used: extra."]
    assert open_images(data).split("test").keys[0] == "test/0"
    assert seen == [asked]  # the second time from our cache


@pytest.mark.parametrize("name", ["hub:mnist", "hub:a/b/c", "hub:/b", "hub:"])
def test_a_name_that_is_none(name):
    with pytest.raises(Error, match=f"{name} is no name on the hub; write OWNER/NAME or"):
        open_images(name).split("train")


@pytest.mark.skipif(not (SHARED / "mnist").exists(), reason="no ../shared/data/mnist here")
def test_mnist_as_it_lies_on_the_hub():
    placed = group_by_split(SHARED / "mnist")
    assert {name: len(files) for name, files in placed.items()} == {"train": 1, "test": 1}
    images = open_images(placed["test"][0], size=28, channels=1)
    assert images.to_metadata()["count"] == {"train": 8250, "validation": 750, "test": 1000}
    assert 0.12 < images.split("test").get_batch(slice(None)).image.mean() < 0.14
