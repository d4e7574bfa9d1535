"""Labels are joined by name, every image and every row once, or one error says which are not."""

import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.labels import UNLABELLED, Labels

NAMES = ["a/x.png", "b/x.png", "b/y é.png", "b/0012.png"]
TABLE = """Year,file,Brand,Length
1990,b/x.png,Volvo,1.5
1980,y é.png,"Mini, Cooper",2
2000,a/x.png,Volvo,2.5
1970,0012.png,Audi,3
"""


@pytest.fixture
def images(tmp_path):
    for name in NAMES:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "photos" / name)
    return open_images(Source(str(tmp_path / "photos"), validation=0.5))


@pytest.fixture
def onto(images, tmp_path):
    keys = images.split("all").keys

    def join(text, columns=None, split="all", name="labels.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8-sig")
        return Labels(path, columns).onto(images.split(split), keys)

    return join


def row(part, key):
    """column -> value of one image, classes by name."""
    at = part.keys.index(key)
    return {
        name: part.classes[name][values[at]] if part.classes.get(name) else values[at].item()
        for name, values in part.columns.items()
    }


def test_rows_in_any_order_by_key_or_by_a_name_that_only_one_image_has(onto):
    part = onto(TABLE)
    assert row(part, "a/x.png") == {"label": "a", "Year": 2000, "Brand": "Volvo", "Length": 2.5}
    assert row(part, "b/x.png")["Year"] == 1990
    assert row(part, "b/y é.png")["Brand"] == "Mini, Cooper"
    assert row(part, "b/0012.png")["Brand"] == "Audi"
    assert part.classes["Brand"] == ["Audi", "Mini, Cooper", "Volvo"]
    assert (part.columns["Year"].dtype, part.columns["Length"].dtype) == (
        torch.int64, torch.float32,
    )  # fmt: skip


def test_each_split_gets_its_own_rows(images, onto):
    for name in ("train", "validation", "all"):
        part = onto(TABLE, split=name)
        years = {key: row(part, key)["Year"] for key in part.keys}
        wanted = dict(zip(NAMES, (2000, 1990, 1980, 1970), strict=True))
        assert years == {key: wanted[key] for key in part.keys}


def test_only_the_columns_that_are_wanted(images, onto, tmp_path):
    assert list(onto(TABLE, ["Length", "Year"]).columns) == ["Length", "Year"]
    assert list(onto(TABLE, ["Year", "label"][:1]).columns) == ["Year"]
    part = images.split("all")
    assert Labels(columns=["label"]).onto(part, part.keys).columns.keys() == {"label"}
    assert UNLABELLED.onto(part, part.keys).columns.keys() == {"label"}


def test_tables_as_spreadsheets_and_others_write_them(onto, images, tmp_path):
    mac = unicodedata.normalize("NFD", TABLE)
    assert row(onto(mac), "b/y é.png")["Year"] == 1980
    semicolons = TABLE.replace(",", ";").replace('"Mini; Cooper"', "Mini")
    assert row(onto(semicolons), "b/x.png")["Year"] == 1990
    assert row(onto(TABLE.replace("Year,file", "Year,Name")), "b/x.png")["Year"] == 1990
    path = tmp_path / "labels.parquet"
    keys = images.split("all").keys
    pq.write_table(pa.table({"id": keys, "Sold": [True, False, True, True]}), path)
    part = Labels(path).onto(images.split("all"), keys)
    assert part.classes["Sold"] == ["False", "True"]
    assert row(part, keys[1])["Sold"] == "False"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("1970,0012.png,Audi,3\n", ""),
         "labels.csv has no row for 1 of the images: b/0012.png; give one row an image"),
        (("a/x.png", "b/x.png"), "labels.csv names 1 images twice: b/x.png;"),
        (("a/x.png", "./b/x.png"), "names 1 images twice: b/x.png;"),
        (("1970,0012", "1970,0012.png,Audi,3\n1971,12"),
         "names 1 files that are no image of the source, or several by that name: 12.png;"),
        (("2000,a/x.png", "2000,x.png"), "has no row for 1 of the images: a/x.png"),
        ((",Audi,", ",,"), "labels.csv has no Brand for 1 images: 0012.png; fill it in"),
        (("1970,", ","), "labels.csv has no Year for 1 images: 0012.png"),
        ((TABLE, ""), "labels.csv cannot be read"),
        ((",Audi,3", ""), "labels.csv cannot be read"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(onto, change, said):
    with pytest.raises(Error, match=said):
        onto(TABLE.replace(*change))


def test_long_lists_are_cut(onto):
    with pytest.raises(Error, match=r"x3\.png, x4\.png and 15 more; give one row an image"):
        onto(TABLE + "".join(f"1,x{k}.png,B,1\n" for k in range(20)))


def test_files_and_columns_that_are_not_there(onto, images, tmp_path):
    with pytest.raises(Error, match=r"labels.csv has no column Yaer; its columns: Year, Brand,"):
        onto(TABLE, ["Yaer", "Brand"])
    part = images.split("all")
    with pytest.raises(Error, match=r"The source has no column Year; its columns: label\."):
        Labels(columns=["Year"]).onto(part, part.keys)
    for name, said in (("no.csv", "no.csv does not exist"), ("x.xlsx", "x.xlsx is no table; give")):
        with pytest.raises(Error, match=said):
            Labels(tmp_path / name).onto(part, part.keys)
    (tmp_path / "latin.csv").write_bytes(TABLE.encode("latin-1"))
    with pytest.raises(Error, match=r"latin.csv cannot be read .*; save it as UTF-8 .csv"):
        Labels(tmp_path / "latin.csv").onto(part, part.keys)
