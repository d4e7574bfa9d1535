"""Objects in memory that hold images: each kind that `data=` takes."""

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset

from latentia.core.errors import Error
from latentia.data import open_images

N = 12
X = np.random.default_rng(0).integers(0, 256, (N, 9, 8), dtype=np.uint8)
Y = [k % 3 for k in range(N)]
WORDS = ["cat" if y else "dog" for y in Y]


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / f"{k:02}.png" for k in range(N)]
    for file, image in zip(files, X, strict=True):
        Image.fromarray(image).save(file)
    return [str(file) for file in files]


class Own:
    """Neither a list nor of torch: a length and items."""

    def __len__(self):
        return N

    def __getitem__(self, number):
        return X[number], Y[number]


def make_hub_set(paths):
    hub = datasets.Dataset.from_dict({"image": paths, "label": Y})
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    return hub.cast(datasets.Features(features))


def make_frame(paths, column, **labels):
    return pd.DataFrame({**labels, column: paths}, index=range(5, 5 + N))


PIXELS = torch.tensor(X)[:, None]
CLASSES, AGES = ["0", "1", "2"], [str(k) for k in range(N)]  # few integers are classes
KINDS = {
    "tensors": (lambda _: TensorDataset(PIXELS), {}),
    "tensors and labels": (lambda _: TensorDataset(PIXELS, torch.tensor(Y)), {"label": CLASSES}),
    "tensors and two labels": (
        lambda _: TensorDataset(PIXELS / 255, torch.tensor(Y), torch.rand(N)),
        {"label": CLASSES, "label_2": None},
    ),
    "subset": (lambda _: Subset(Own(), range(N)), {"label": CLASSES}),
    "own class": (lambda _: Own(), {"label": CLASSES}),
    "hub": (make_hub_set, {"label": ["a", "b", "c"]}),
    "hub of tensors": (lambda p: make_hub_set(p).with_format("torch"), {"label": ["a", "b", "c"]}),
    "one column": (lambda p: pd.DataFrame({"photo": p}), {}),
    "column path": (lambda p: make_frame(p, "path", age=range(N)), {"age": AGES}),
    "column File": (lambda p: make_frame(p, "File", kind=WORDS), {"kind": ["cat", "dog"]}),
    "column file_name": (lambda p: make_frame(p, "file_name", label=Y), {"label": CLASSES}),
    "column image": (lambda p: make_frame(p, "image", label=Y), {"label": CLASSES}),
    "column of images": (
        lambda p: make_frame([Image.open(each) for each in p], "image", label=Y),
        {"label": CLASSES},
    ),
    "series": (lambda p: make_frame(p, "path")["path"], {}),
    "series of strings": (lambda p: pd.Series(p, dtype="string"), {}),
    "index": (pd.Index, {}),
    "list": (list, {}),
    "array of paths": (np.array, {}),
    "arrow column": (pa.array, {}),
    "arrow table": (lambda p: pa.table({"path": p, "label": Y}), {"label": CLASSES}),
    "lists": (lambda _: [[x, y] for x, y in zip(X, Y, strict=True)], {"label": CLASSES}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_object_is_read(paths, kind):
    make, classes = KINDS[kind]
    images = open_images(make(paths))
    everything = images.split("all")
    np.testing.assert_allclose(everything.get_batch(slice(None)).image[:, 0] * 255, X, atol=1e-4)
    assert images.classes == classes
    assert images.notes == []
    if classes.get("kind"):
        assert everything.columns["kind"].tolist() == [y == 0 for y in Y]
    elif "label" in classes:
        assert everything.columns["label"].tolist() == Y
    assert images.source.name.startswith("unnamed ")
    assert images.source.name.endswith(" of 12 images")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda p: pd.DataFrame({"a": p, "b": Y}),
            r"DataFrame of the columns a, b; call the one of the images or their paths path, file,",
        ),
        (lambda _: pd.DataFrame(X.reshape(N, -1)), "of the columns 0, 1, .*, 7 and 64 more; call"),
        (
            lambda p: datasets.DatasetDict({"train": make_hub_set(p)}),
            r"a DatasetDict; give images such as data\['train'\], and labels=",
        ),
        (
            lambda p: pd.DataFrame({"path": [*p[1:], None]}),
            "Item 11 of the object is of type ",
        ),
        (lambda _: (X, Y), "a tuple; give images as one array, and labels="),
    ],
)
def test_what_is_no_such_object_is_refused_in_one_sentence(paths, make, text):
    with pytest.raises(Error, match=text):
        open_images(make(paths)).split("all")
