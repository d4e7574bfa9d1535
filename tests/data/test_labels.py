"""Labels are joined by name, every image and every row once, or one error says which are not."""

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.data.reading import Reading

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
    return open_images(Source(str(tmp_path / "photos"), Reading(validation=0.5)))


@pytest.fixture
def onto(images, tmp_path):
    keys = images.split("all").keys

    def join(text, columns=None, split="all", name="labels.csv", gaps="error"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8-sig")
        return Labels(path, columns, gaps).join_to(images.split(split), keys)

    return join


def row(part, key):
    """column -> value of one image, classes by name."""
    at = part.keys.index(key)
    return {
        name: part.classes[name][values[at]] if part.classes.get(name) else values[at].item()
        for name, values in part.columns.items()
    }


def test_a_name_of_digits_stays_a_name(tmp_path):
    """As shards have it: 0007 of the table is 0007, not 7."""
    path = tmp_path / "labels.csv"
    path.write_text("file,Year\n0007,1990\n0008,1991\n")
    found, _ = Labels(path).read_cells(["a.tar/0008", "a.tar/0007"])
    assert found["Year"].values.tolist() == [1991, 1990]


def test_columns_with_more_gaps_than_others_are_named(onto):
    """Else one sparse column would leave out nearly every image, and nobody would know why."""
    part = onto(TABLE.replace("Audi", ""), gaps="drop")
    assert part.note is not None
    assert "has no values for 1 of 4 images (split all: Brand of 1)" in part.note
    assert "--label-cols takes other columns" in part.note


def test_rows_in_any_order_by_key_or_by_a_name_that_only_one_image_has(onto):
    part = onto(TABLE)
    assert row(part, "a/x.png") == {"label": "a", "Year": "2000", "Brand": "Volvo", "Length": 2.5}
    assert row(part, "b/x.png")["Year"] == "1990"
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
        wanted = dict(zip(NAMES, ("2000", "1990", "1980", "1970"), strict=True))
        assert years == {key: wanted[key] for key in part.keys}


def test_only_the_columns_that_are_wanted(images, onto, tmp_path):
    assert list(onto(TABLE, ["Length", "Year"]).columns) == ["Length", "Year"]
    assert list(onto(TABLE, ["Year", "label"][:1]).columns) == ["Year"]
    part = images.split("all")
    assert Labels(columns=["label"]).join_to(part, part.keys).columns.keys() == {"label"}
    assert SOURCE_LABELS.join_to(part, part.keys).columns.keys() == {"label"}


def test_tables_as_spreadsheets_and_others_write_them(onto, images, tmp_path):
    mac = unicodedata.normalize("NFD", TABLE)
    assert row(onto(mac), "b/y é.png")["Year"] == "1980"
    semicolons = TABLE.replace(",", ";").replace('"Mini; Cooper"', "Mini")
    for points in (semicolons, semicolons.replace("1.5", "1,5").replace("2.5", "2,5")):
        assert row(onto(points), "b/x.png")["Year"] == "1990"
        assert row(onto(points), "a/x.png")["Length"] == 2.5
    assert row(onto(TABLE.replace("Year,file", "Year,Name")), "b/x.png")["Year"] == "1990"
    path = tmp_path / "labels.parquet"
    keys = images.split("all").keys
    pq.write_table(pa.table({"id": keys, "Sold": [True, False, True, True]}), path)
    part = Labels(path).join_to(images.split("all"), keys)
    assert part.classes["Sold"] == ["False", "True"]
    assert row(part, keys[1])["Sold"] == "False"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("1970,0012.png,Audi,3\n", ""),
         r"labels.csv has no values for 1 of 4 images \(split all: Year of 1, Brand of 1, Length of"
         r" 1\): b/0012.png; fill them in"),
        (("a/x.png", "b/x.png"), "names 1 image twice: b/x.png .Year 1990 and 2000, Length 1.5"),
        (("a/x.png", "./b/x.png"), "names 1 image twice: b/x.png .Year 1990 and 2000, Length"),
        (("1970,0012", "1970,0012.png,Audi,3\n1971,12"),
         "names 1 file that the source has not, or has several times by that name: 12.png;"),
        (("2000,a/x.png", "2000,x.png"), "1 file that the source has not, .* by that name: x.png"),
        ((",Audi,", ",,"), r"has no values for 1 .* \(split all: Brand of 1\): b/0012.png;"),
        (("1970,", ","), r"has no values for 1 .* \(split all: Year of 1\): b/0012.png;"),
        ((TABLE, ""), "labels.csv is no table"),
        ((",Audi,3", ""), r"labels.csv has no values .* \(split all: Brand of 1, Length of 1\)"),
        ((",Audi,3", ",Audi,3,4"), "labels.csv is no table"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(onto, change, said):
    with pytest.raises(Error, match=said):
        onto(TABLE.replace(*change))


EMPTY_YEAR = re.sub("^[0-9]+,", ",", TABLE.replace("2000,a/x.png,Volvo,2.5\n", ""), flags=re.M)
PARTIAL = TABLE.replace("2000,a/x.png,Volvo,2.5\n", "").replace("1970,0012", ",0012")


def test_images_without_a_row_or_a_cell_are_left_out_and_counted(onto):
    whole, part = onto(TABLE), onto(PARTIAL, gaps="drop")
    assert set(part.keys) == {"b/x.png", "b/y é.png"}
    for key in part.keys:  # the others lose nothing: neither a label nor their own pixels
        assert row(part, key) == row(whole, key)
        at = [each.keys.index(key) for each in (part, whole)]
        assert part.rows[at[0]] == whole.rows[at[1]]
    assert part.note.endswith(
        "labels.csv has no values for 2 of 4 images (split all: Year of 2, Brand of 1, Length of"
        " 1): these images are left out; --label-cols takes other columns."
    )
    assert part.columns["Year"].dtype == torch.int64
    brands = onto(PARTIAL, ["Brand"], gaps="drop")  # that a year is missing is no matter
    assert set(brands.keys) == {"b/x.png", "b/y é.png", "b/0012.png"}
    assert onto(TABLE, gaps="drop").note == ""


def test_where_every_image_has_a_row_gaps_are_blank(onto):
    whole, part = onto(TABLE), onto(PARTIAL, gaps="nan")
    assert part.keys == whole.keys
    assert part.note.endswith("Year of 2, Brand of 1, Length of 1): these have no value.")
    for key in ("b/x.png", "b/y é.png"):
        assert row(part, key) == row(whole, key)
    at = [part.keys.index(key) for key in ("a/x.png", "b/0012.png")]
    assert part.columns["Year"][at].tolist() == [-1, -1]
    assert part.columns["Brand"][at].tolist() == [-1, whole.columns["Brand"][at[1]]]
    assert part.columns["label"].tolist() == whole.columns["label"].tolist()


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        (TABLE.splitlines()[0] + "\n", None, "has no row for 4 of 4 images"),
        (
            EMPTY_YEAR,
            ["Year"],
            r"has no values for 4 of 4 images \(split all: Year of 4\);",
        ),
    ],
)
def test_gaps_hide_no_mistake(onto, text, columns, said):
    for gaps in ("drop", "nan"):
        with pytest.raises(Error, match=said):
            onto(text, columns, gaps=gaps)


@pytest.mark.parametrize("gaps", ["drop", "nan"])
def test_rows_of_images_that_are_not_there_are_noted(onto, gaps):
    """Such as images that --skip-unreadable left out, or a last row of sums."""
    part = onto(f"{TABLE}9999,Total,,12\n", gaps=gaps)
    assert row(part, "b/x.png") == row(onto(TABLE), "b/x.png")
    assert "names 1 file that the source has not, or has several times by" in part.note
    assert part.note.endswith("by that name: Total.")
    others = "".join(f"1,c/{k}.png,B,1\n" for k in range(9))
    with pytest.raises(Error, match="has no row for 3 of 4 images: its column 'file' holds b/x"):
        onto("".join(TABLE.splitlines(keepends=True)[:2]) + others, gaps=gaps)


def test_an_empty_column_costs_no_other_column(onto):
    part = onto(EMPTY_YEAR, gaps="nan")
    assert part.columns["Year"].isnan().all()
    assert row(part, "b/x.png")["Brand"] == "Volvo"
    with pytest.raises(Error, match="has no values for 4 of 4 images"):  # it would leave no image
        onto(EMPTY_YEAR, gaps="drop")


def test_a_split_of_which_nothing_is_known_is_an_error(onto, images):
    known = images.split("train").keys
    rows = "".join(f"{key},{k}\n" for k, key in enumerate(known))
    said = r"has no values for 2 of 2 images \(split validation: Year of 2\); give rows for some"
    with pytest.raises(Error, match=said):
        onto(f"file,Year\n{rows}", split="validation", gaps="drop")


def test_long_lists_are_cut(onto):
    with pytest.raises(Error, match=r"x3\.png, x4\.png and 15 more; give one row an image"):
        onto(TABLE + "".join(f"1,x{k}.png,B,1\n" for k in range(20)))


def test_files_and_columns_that_are_not_there(onto, images, tmp_path):
    with pytest.raises(
        Error, match=r"labels.csv has no column Yaer; name one of its columns: Year, Brand,"
    ):
        onto(TABLE, ["Yaer", "Brand"])
    part = images.split("all")
    with pytest.raises(
        Error, match=r"The source has no column Year; name one of its columns: label\."
    ):
        Labels(columns=["Year"]).join_to(part, part.keys)
    for name, said in (
        ("no.csv", "no.csv does not exist"),
        ("no.xlsx", "no.xlsx does not exist"),
        ("x.xlsx", "x.xlsx is a workbook"),
    ):
        (tmp_path / "x.xlsx").touch()
        with pytest.raises(Error, match=said):
            Labels(tmp_path / name).join_to(part, part.keys)


def test_a_label_cannot_have_the_name_of_the_mask_of_missing_pixels(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((9, 4, 4), np.uint8), observed_pixels=np.arange(9) % 2)
    with pytest.raises(Error, match="have a column observed_pixels, the name of a mask; rename it"):
        open_images(str(tmp_path / "a.npz")).to_metadata()
