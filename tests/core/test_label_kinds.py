"""What is a class is decided once, the same for every source of labels."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.core.label_kinds import encode_column, get_label_kind
from latentia.data import Source, open_images
from latentia.data.reading import Reading

N = 60
IMAGES = np.random.default_rng(0).integers(0, 255, (N, 4, 4), np.uint8)
DOSES = np.array([10, 2, 30, 4])[np.arange(N) % 4]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (DOSES, ["2", "4", "10", "30"]),  # sorted as numbers
        (DOSES > 5, ["False", "True"]),
        (np.arange(N) % 20, list(map(str, range(20)))),
        (np.arange(N) % 21, None),
        (DOSES.astype(np.float32), ["2", "4", "10", "30"]),  # as np.loadtxt reads them
        (np.where(np.arange(N) == 3, np.inf, DOSES), None),
        (np.where(np.arange(N) == 3, np.nan, DOSES), ["2", "4", "10", "30"]),  # integers with a gap
        (np.where(np.arange(N) == 3, np.nan, DOSES + 0.5), None),
        (np.full(N, np.nan), None),
    ],
)
def test_integers_of_few_values_are_classes_and_other_numbers_are_numbers(values, names):
    codes, found = encode_column("dose", values, None)
    assert found == names
    if names is None:
        np.testing.assert_array_equal(codes, values)
    else:
        texts = [names[code] if code >= 0 else "nan" for code in codes]
        wanted = [str(v) if values.dtype == bool else f"{v:g}" for v in values]
        assert texts == wanted


@pytest.mark.parametrize("kind", ["npz", "parquet", "csv", "array", "items", "metadata", "series"])
def test_every_source_decides_alike(kind, tmp_path):
    """Integers 2, 4, 10, 30 are classes in the order of numbers, 0.5, 1.5, ... are numbers."""
    import pandas as pd

    x, table = IMAGES, pd.DataFrame({"dose": DOSES, "size": np.arange(N) % 3 + 0.5})
    labels, data = None, x
    if kind == "npz":
        np.savez(tmp_path / "a.npz", x=x, dose=DOSES, size=table["size"])
        data = str(tmp_path / "a.npz")
    elif kind in ("csv", "array", "series"):
        labels = table
        if kind == "csv":
            labels = tmp_path / "t.csv"
            table.assign(id=range(N)).to_csv(labels, index=False)
    elif kind == "items":
        data = [{"image": x[k], "dose": int(d), "size": k % 3 + 0.5} for k, d in enumerate(DOSES)]
    else:
        for k in range(N):
            Image.fromarray(x[k]).save(tmp_path / f"{k}.png")
        data = str(tmp_path)
        table.insert(0, "file_name", [f"{k}.png" for k in range(N)])
        if kind == "metadata":
            table.to_csv(tmp_path / "metadata.csv", index=False)
        else:
            cells = [{"bytes": (tmp_path / f"{k}.png").read_bytes()} for k in range(N)]
            data = str(tmp_path / "t.parquet")
            table.assign(image=cells).drop(columns="file_name").to_parquet(data)
    images = open_images(Source(data, labels=labels))
    assert images.classes["dose"] == ["2", "4", "10", "30"]
    assert images.classes["size"] is None
    split = images.split("all")
    rows = [int(key.rpartition("/")[2].removesuffix(".png")) for key in split.keys]
    names = [images.classes["dose"][code] for code in split.columns["dose"]]
    assert names == [str(DOSES[row]) for row in rows]


def test_label_kind_overrides_and_is_kept_by_the_run(tmp_path):
    np.savez(tmp_path / "a.npz", x=IMAGES, dose=DOSES, size=DOSES + 0.5)
    reading = Reading(label_kind="dose=number, size=class")
    images = open_images(Source(str(tmp_path / "a.npz"), reading))
    assert images.classes == {"dose": None, "size": ["2.5", "4.5", "10.5", "30.5"]}
    assert images.split("all").columns["dose"].tolist() == DOSES.tolist()
    metadata = images.to_metadata()
    assert Reading.from_metadata(metadata).label_kinds == {"dose": "number", "size": "class"}
    plain = open_images(str(tmp_path / "a.npz")).to_metadata()
    assert plain["fingerprint"] == metadata["fingerprint"]  # the same images


def test_class_folders_named_by_numbers_become_numbers(tmp_path):
    for k in range(12):
        (tmp_path / f"{10 * (k % 3)}").mkdir(exist_ok=True)
        Image.fromarray(IMAGES[k]).save(tmp_path / f"{10 * (k % 3)}" / f"{k}.png")
    images = open_images(Source(str(tmp_path), Reading(label_kind="label=number")))
    split = images.split("all")
    assert split.columns["label"].tolist() == [float(key.split("/")[0]) for key in split.keys]
    assert split.columns["label"].dtype == torch.float32
    (tmp_path / "0").rename(tmp_path / "none")
    text = "'none' of label is no number; leave label=number out of --label-kind"
    with pytest.raises(Error, match=text):
        open_images(Source(str(tmp_path), Reading(label_kind="label=number"))).split("all")


def test_classes_named_by_integers_are_sorted_as_numbers():
    codes, names = encode_column("month", np.array([0, 1, 2, -1]), ["1", "10", "2"])
    assert (codes.tolist(), names) == ([0, 2, 1, -1], ["1", "2", "10"])
    codes, names = encode_column("month", np.array([0, 1]), ["b", "10"])
    assert (codes.tolist(), names) == ([0, 1], ["b", "10"])


@pytest.mark.parametrize(
    ("labels", "is_noted"),
    [
        (np.arange(N) % 26, True),
        (np.arange(N) % 26 + 1, True),
        (np.arange(N) % 20, False),  # classes
        (np.arange(N) % 26 + 20, False),
        (3 * (np.arange(N) % 26), False),
        (np.arange(N), False),
        (np.arange(N) % 26 + 0.5, False),
    ],
)
def test_many_integers_that_look_like_classes_are_told(labels, is_noted):
    images = open_images(Source(dict_items(labels)))
    text = "label counts from .* as it has more than 20 values; --label-kind label=class makes"
    assert any(re.match(text, note) for note in images.notes) == is_noted
    if is_noted:
        with pytest.raises(Error, match="none has classes; --label-kind label=class makes classes"):
            images.get_class_names("label")


def dict_items(labels):
    return [{"image": x, "label": y.item()} for x, y in zip(IMAGES, labels, strict=True)]


def test_a_column_of_label_kind_may_hold_commas_and_equals_signs():
    kinds = Reading(label_kind="a, b=class, c=d=number,e=class").label_kinds
    assert kinds == {"a, b": "class", "c=d": "number", "e": "class"}


@pytest.mark.parametrize("text", ["dose", "dose=text", "=class", "dose=class,size"])
def test_a_kind_that_is_none_is_refused(text):
    with pytest.raises(Error, match=f"--label-kind is '{text}'; give COLUMN=class,COLUMN=number"):
        Reading(label_kind=text)


def test_an_unknown_column_is_refused_with_those_that_there_are(tmp_path):
    np.savez(tmp_path / "a.npz", x=IMAGES, dose=DOSES)
    images = open_images(Source(str(tmp_path / "a.npz"), Reading(label_kind="does=class")))
    with pytest.raises(
        Error, match=r"label-kind: the data has no column does; name one of its columns: dose\."
    ):
        images.to_metadata()


def test_whole_floats_of_few_values_are_classes(tmp_path):
    np.savez(tmp_path / "a.npz", x=IMAGES, y=DOSES.astype(np.float32))
    assert open_images(str(tmp_path / "a.npz")).classes == {"label": ["2", "4", "10", "30"]}


def test_a_number_of_a_small_subset_stays_a_number():
    """What is decided for all images holds for the few of a split."""
    assert get_label_kind("age", np.arange(5), {"age": None}) == "number"
    assert get_label_kind("age", np.arange(5), {}) == "class"
