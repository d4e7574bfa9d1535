"""Tables of labels as people's programs write them; rows are found by the images they name."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.label_tables import open_label_table
from latentia.data.labels import Labels, find_excluded_rows
from latentia.data.name_matching import NameMatcher
from latentia.data.reading import Reading

KEYS = ["a/0.png", "b/0.png", "b/1.png"]


def write_table(path, rows, delimiter=",", encoding="utf-8", first=""):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes((first + text.getvalue()).encode(encoding))
    return path


def read(path, keys=KEYS, columns=None, missing="error"):
    return Labels(path, columns, missing).read_cells(keys)[0]


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (KEYS, ["a/0.png", "b/0.png", "b/1.png"]),
        (KEYS, ["a\\0.png", "b\\0.png", "b\\1.png"]),
        (KEYS, ["C:\\my data\\a\\0.png", "C:\\my data\\b\\0.png", "C:\\my data\\b\\1.png"]),
        (KEYS, ["/data/set/a/0.png", "/data/set/b/0.png", "/data/set/b/1.png"]),
        (KEYS, ["./a/0.png", "b/0.png ", " b/1.png"]),
        (KEYS, ["a/0", "b/0", "b/1"]),
        (KEYS, ["a/0.jpg", "b/0.jpg", "b/1.jpg"]),  # converted since
        (KEYS, ["A/0.PNG", "B/0.png", "b/1.Png"]),
        (KEYS, ["A\\0", "B\\0", "1"]),
        (KEYS, ["a/0.png", "b/0.png", "1.png"]),
        (["x/3.png", "y/4.png"], ["3.png", "4.png"]),
        (["x/3.png", "y/4.png"], ["old/3.png", "old/4.png"]),  # moved to class folders
        (["3.png", "4.png"], ["x/3.png", "y/4.png"]),
        (["pics/a/0.png", "pics/b/0.png"], ["images/a/0.png", "images/b/0.png"]),
        (["/home/me/a/0.png", "/home/me/b/0.png"], ["D:\\a\\0.png", "D:\\b\\0.png"]),
        (["a.b.png", "a.c.png"], ["a.b", "a.c"]),
        (["A.png", "a.png"], ["A", "a"]),
        (["train/0", "train/1"], ["0", "1"]),
    ],
)  # fmt: skip
def test_names_match_by_path_or_what_is_left_of_it(keys, names):
    assert NameMatcher(keys).match(names) == dict(zip(names, keys, strict=True))


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (KEYS, "0.png"),  # of a or of b
        (KEYS, "c/0.png"),
        (KEYS, "a/1.png"),  # b/1.png is another
        (["0.png", "0.jpg"], "0"),
        (["aB.png", "Ab.png"], "AB.png"),
        (["0012.png"], "12.png"),
    ],
)
def test_names_that_several_images_could_have_or_none_match_nothing(keys, name):
    assert NameMatcher(keys).match([name, *keys]) == {key: key for key in keys}


def test_images_of_one_name_in_two_folders_never_share_a_row():
    """The image that the table lacks does not get the row of another folder's."""
    keys = [f"{folder}/{k}.png" for folder in "ab" for k in range(5)]
    names = [key for key in keys if key != "a/4.png"]
    assert NameMatcher(keys).match(names) == {name: name for name in names}
    assert NameMatcher(names).match(keys) == {name: name for name in names}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("header", ["file", "scan", "Bild", ""])
def test_the_column_of_names_is_found_by_its_cells(header, place, tmp_path):
    rows = [["name", "grade"], ["Ann", "1"], ["Bob", "2"], ["Ann", "2"]]  # "name" is a person's
    for row, cell in zip(rows, [header, *KEYS], strict=True):
        row.insert(place, cell)
    cells = read(write_table(tmp_path / "t.csv", rows))
    assert list(cells) == ["name", "grade"]
    assert cells["grade"].tolist() == [1, 2, 2]


def test_a_usual_name_decides_between_two_columns_of_names(tmp_path):
    rows = [["id", "file_name"], ["1", "0"], ["0", "1"]]
    assert read(write_table(tmp_path / "t.csv", rows), ["0.png", "1.png"])["id"].tolist() == [1, 0]


def test_text_names_images_rather_than_numbers_of_rows(tmp_path):
    rows = [["", "Datei", "y"], ["0", "1.png", "a"], ["1", "0.png", "b"]]
    cells = read(write_table(tmp_path / "t.csv", rows), ["0.png", "1.png"])
    assert cells["y"].tolist() == ["b", "a"]


@pytest.mark.parametrize("name", ["https://x.org/a/{}.png?size=2", "{}.dcm", "scans/{}.nii.gz"])
def test_labels_that_are_numbers_of_images_are_no_names(name, tmp_path):
    keys = [f"{k}.png" for k in range(6)]
    rows = [["y", "source"], *([k % 2, name.format(k)] for k in range(6))]
    cells = read(write_table(tmp_path / "t.csv", rows), keys)
    assert list(cells) == ["y"]
    assert cells["y"].tolist() == [0, 1] * 3
    rows = [["y", "file"], *([k % 2, f"other{k}.png"] for k in range(6))]
    with pytest.raises(Error, match=r"its column 'file' holds other0\.png, "):
        read(write_table(tmp_path / "u.csv", rows), keys)


def test_numbers_whose_zeros_a_spreadsheet_has_dropped_are_names(tmp_path):
    rows = [["id", "y"], ["10", "a"], ["2", "b"], ["0", "c"]]
    keys = ["x/0000.png", "x/0002.png", "x/0010.png"]
    assert read(write_table(tmp_path / "t.csv", rows), keys)["y"].tolist() == ["c", "b", "a"]
    assert NameMatcher(["01.png", "1.jpg"]).match(["1"]) == {"1": "1.jpg"}
    assert NameMatcher(["01.png", "001.png"]).match(["1"]) == {}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_separators(encoding, delimiter, tmp_path):
    rows = [["Datei", "Größe", "Anmerkung"]]
    rows += [[key, f"{k}.5", f'é "{delimiter}"\nzweite Zeile'] for k, key in enumerate(KEYS)]
    first = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    cells = read(write_table(tmp_path / "t.csv", rows, delimiter, encoding, first))
    assert cells["Größe"].tolist() == [0.5, 1.5, 2.5]
    assert cells["Anmerkung"].iloc[0] == f'é "{delimiter}"\nzweite Zeile'


def test_excels_line_of_the_separator(tmp_path):
    rows = [["f", "x"], *([key, f"{k},5"] for k, key in enumerate(KEYS))]
    path = write_table(tmp_path / "t.csv", rows, ";", first="sep=;\r\n")
    assert read(path)["x"].tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("delimiter", "cells", "expected"),
    [
        (";", ["1,5", "2", "-3,25"], [1.5, 2, -3.25]),
        ("\t", ["0,1", "0,2", "0,3"], [0.1, 0.2, 0.3]),
        (";", ["1.5", "2", "3"], [1.5, 2, 3]),
        (";", ["1.234,5", "2", "3.000"], [1234.5, 2, 3000]),
        (";", ["1,234.5", "2", "3,000"], [1234.5, 2, 3000]),
        (";", ["1.500", "2.000", "3.000"], [1.5, 2, 3]),  # no other number says what they mean
        (",", ["1,234", "2", "1,000,000"], [1234, 2, 1000000]),
        (";", ["1\u202f234,5", "2", "3\xa0000"], [1234.5, 2, 3000]),
        (";", ["1 234,5", "2", "3 000"], [1234.5, 2, 3000]),
        (";", ["1'234.5", "2", "\u22123"], [1234.5, 2, -3]),
        (",", ["007", "012", "100"], ["007", "012", "100"]),  # names
        (";", ["1.2.2024", "2", "3"], ["1.2.2024", "2", "3"]),
        (";", ["a,b", "c", "d"], ["a,b", "c", "d"]),
        (",", ["1,5", "2", "3"], [1.5, 2, 3]),  # in quotes, as Google's sheets write them
        (",", ["0,125", "0,250", "1,000"], [0.125, 0.25, 1]),
        (",", ["1,250", "1,500", "1,750"], [1250, 1500, 1750]),
        (",", ["true", "False", "TRUE"], [True, False, True]),
        (",", ["1e3", "2", "3"], [1000, 2, 3]),
    ],
)
def test_decimal_commas_are_numbers(delimiter, cells, expected, tmp_path):
    rows = [["f", "x"], *zip(KEYS, cells, strict=True)]
    assert read(write_table(tmp_path / "t.csv", rows, delimiter))["x"].tolist() == expected


def test_a_point_groups_thousands_where_another_column_has_decimal_commas(tmp_path):
    rows = [["f", "x", "y"], *([key, f"{k}.500", f"{k},25"] for k, key in enumerate(KEYS, 1))]
    cells = read(write_table(tmp_path / "t.csv", rows, ";"))
    assert (cells["x"].tolist(), cells["y"].tolist()) == ([1500, 2500, 3500], [1.25, 2.25, 3.25])


@pytest.mark.parametrize(
    "text",
    [
        "Study of May\nf,x\n{}",
        "Study of May,\n,\nf,x\n{}",  # as Excel fills it up
        "# exported by a program, in May, at noon\n# by me\nf,x\n{}",
        "f,x\r\n{}\r\n,\r\n\r\n",
        "f,x,\n{}",
        "f, x\n{}",
        '"f","x"\n{}',
        "f,x\r{}",  # of Excel for Macintosh, once
    ],
)
@pytest.mark.parametrize("end", ["", ","])
def test_lines_around_the_table_and_marks_at_the_end_of_rows_are_none(text, end, tmp_path):
    rows = "".join(f"{key},{k}{end}\n" for k, key in enumerate(KEYS))
    rows = rows.replace("\n", "\r") if text.endswith("x\r{}") else rows
    (tmp_path / "t.csv").write_bytes(text.format(rows).encode())
    cells = read(tmp_path / "t.csv")
    assert {name: list(values) for name, values in cells.items()} == {"x": [0, 1, 2]}


@pytest.mark.parametrize("header", [",f,x", "f,x", "Unnamed,f,x"])
def test_numbers_of_rows_without_a_name_are_no_labels(header, tmp_path):
    """As pandas and R write them."""
    rows = "".join(f"{k},{key},{k % 2}\n" for k, key in enumerate(KEYS))
    (tmp_path / "t.csv").write_text(f"{header}\n{rows}")
    names = ["Unnamed", "x"] if header[0] == "U" else ["x"]
    assert list(read(tmp_path / "t.csv")) == names


@pytest.mark.parametrize("kind", ["list.json", "map.json", "labels.json", "t.jsonl"])
def test_tables_of_json(kind, tmp_path):
    rows = [{"x": k % 2, "f": key} for k, key in enumerate(KEYS)]
    content = {
        "list.json": rows,
        "map.json": {row["f"]: row["x"] for row in rows},
        "labels.json": {"labels": [[row["f"], row["x"]] for row in rows]},
    }
    text = json.dumps(content.get(kind)) if kind in content else "\n\n".join(map(json.dumps, rows))
    (tmp_path / kind).write_text(text)
    (values,) = read(tmp_path / kind).T.to_numpy().tolist()
    assert [int(value) for value in values] == [0, 1, 0]


GAPS = ["", " ", "NA", "na", "n/a", "N/A", "NaN", "null", "NULL", "-"]
EXCEL_ERRORS = ["#N/A", "#NV", "#N/D", "#DIV/0!", "#WERT!", "#NAME?"]


@pytest.mark.parametrize("gap", [*GAPS, *EXCEL_ERRORS])
def test_a_missing_cell_costs_only_its_column(gap, tmp_path):
    rows = [["f", "n", "x", "kind"], *([key, "1", "2.5", "k"] for key in KEYS)]
    rows[1][1] = rows[2][2] = rows[3][3] = gap
    path = write_table(tmp_path / "t.csv", rows)
    cells = read(path, missing="nan")
    assert cells["n"].isna().tolist() == [True, False, False]
    assert cells["x"].isna().tolist() == [False, True, False]
    assert cells["kind"].isna().tolist() == [False, False, True]
    assert [cells[name].dtype.kind for name in ("n", "x")] == ["i", "f"]


def test_blank_rows_and_columns_are_none(tmp_path):
    rows = [["", "", "", ""], ["", "f", "x", ""], *(["", key, "1", ""] for key in KEYS), [""] * 4]
    cells = read(write_table(tmp_path / "t.csv", rows))
    assert {name: list(values) for name, values in cells.items()} == {"x": [1, 1, 1]}


def test_identical_rows_are_one_and_contradicting_rows_are_shown(tmp_path):
    rows = [["f", "x", "y"], *([key, "1", "2"] for key in [*KEYS, "a/0"])]
    assert read(write_table(tmp_path / "t.csv", rows))["x"].tolist() == [1, 1, 1]
    rows[-1][1] = ""  # what one row lacks another has
    assert read(write_table(tmp_path / "t.csv", rows))["x"].tolist() == [1, 1, 1]
    rows[-1][1] = "7"
    path = write_table(tmp_path / "t.csv", rows)
    with pytest.raises(Error, match=r"t.csv names 1 image twice: a/0.png \(x 1 and 7\); give one"):
        read(path)
    assert read(path, columns=["y"])["y"].tolist() == [2, 2, 2]  # they agree


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = write_table(tmp_path / "t.csv", [["f", "x", "x"], *([key, "1", "2"] for key in KEYS)])
    with pytest.raises(Error, match="has two columns called 'x'; rename one of them"):
        read(path)


def test_when_nothing_matches_both_sides_are_shown(tmp_path):
    path = write_table(tmp_path / "t.csv", [["who", "x"], ["p1", "7"], ["p2", "8"]])
    text = (
        r"t.csv has no row for 3 of 3 images: its column 'who' holds p1, p2, and the images are"
        r" a/0.png, b/0.png, b/1.png; give one row an image, named by its path in the folder\."
    )
    with pytest.raises(Error, match=text):
        read(path)


def test_a_row_of_a_file_is_for_all_its_pages(tmp_path):
    rows = [["f", "x"], ["stack.tif", "1"], ["one.tif", "2"]]
    keys = ["one.tif", "stack.tif#0", "stack.tif#1"]
    assert read(write_table(tmp_path / "t.csv", rows), keys)["x"].tolist() == [2, 1, 1]


def test_when_few_match_the_column_taken_is_shown(tmp_path):
    """A column of numbers may match a few images by chance."""
    path = write_table(tmp_path / "t.csv", [["who", "x"], ["p1", "1"], ["p2", "2"]])
    with pytest.raises(Error, match="no row for 2 of 3 images: its column 'x' holds 1, 2, and the"):
        read(path)


@pytest.mark.parametrize("name", ["t.xlsx", "t.ods", "t.csv", "old.csv", "t.pdf"])
def test_other_files_are_refused_with_what_to_save(name, tmp_path):
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0" if name == "old.csv" else b"PK\x03\x04")
    text = "is a workbook, which is not read; save it in Excel as .csv"
    text = "is no table that can be read; save it as .csv" if name == "t.pdf" else text
    with pytest.raises(Error, match=f"{name} {text}"):
        open_label_table(tmp_path / name, KEYS)


@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_a_blank_table_is_called_blank(text, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(Error, match=r"t\.csv is no table \(it is blank\); correct it"):
        open_label_table(tmp_path / "t.csv", KEYS)


def read_images(data, **options):
    return open_images(Source(data, Reading(**options)))


def draw_images(folder):
    for k, key in enumerate([f"{name}/{k}.png" for name in "ab" for k in range(6)]):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), k, np.uint8)).save(folder / key)
    return str(folder)


def test_a_broken_table_beside_the_images_is_named(tmp_path):
    data = draw_images(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,x\na/0.png\n1,2,3\n")
    with pytest.raises(Error) as error:
        open_images(data).split("all")
    assert f"{tmp_path}/metadata.csv is no table (" in str(error.value)
    assert "--labels" not in str(error.value)


def test_names_beside_the_images_match_as_in_any_table(tmp_path):
    data = draw_images(tmp_path)
    rows = [["scan", "grade", "caption"]]
    rows += [[f"C:\\all\\{p}\\{k}", f"{k % 2}", f"text {p}{k}"] for p in "ab" for k in range(6)]
    write_table(tmp_path / "metadata.csv", rows, ";", "utf-16")
    images = open_images(data)
    assert images.classes == {"grade": ["0", "1"]}
    assert read_images(data, group="caption").classes.keys() == {"grade", "caption"}
    assert read_images(data, label_kind="caption=class").classes.keys() == {"grade", "caption"}
    assert images.split("all").columns["grade"].tolist() == [0, 1, 0, 1, 0, 1] * 2
    assert "Not used as labels, since nearly every value is different: caption" in images.notes[-1]


def test_excluded_names_match_alike_and_unknown_ones_are_counted(tmp_path):
    keys = ["a/0.png", "b/0.png", "s.tif#0", "s.tif#1"]
    rows, note = find_excluded_rows(["B\\0", "s.tif", "gone.png"], keys)
    assert rows.tolist() == [1, 2, 3]
    assert note == "exclude names 1 file that the source has not: gone.png."
    data = draw_images(tmp_path / "set")
    table = write_table(tmp_path / "odd.csv", [["key"], ["a/0.png"], ["c/0.png"]])
    images = open_images(Source(data, Reading(exclude=str(table))))
    # before a split is made too
    assert images.notes[-1] == f"{table} names 1 file that the source has not: c/0.png."
    assert images.to_metadata()["reading"]["exclude"] == ["a/0.png"]
    with pytest.raises(Error, match="has no row for 4 of 4 images: its column 'key' holds gone"):
        find_excluded_rows(["gone.png"], keys)


def test_a_table_without_a_first_line_of_names_is_refused(tmp_path):
    path = write_table(tmp_path / "t.csv", [["a/0.png", 3], ["b/0.png", 4], ["b/1.png", 5]])
    with pytest.raises(Error, match=r"begins with a row of an image \(a/0\.png\)"):
        read(path)
    path = write_table(tmp_path / "t.csv", [["a/0", 3], ["b/0", 4], ["b/1", 5]])
    with pytest.raises(Error, match=r"begins with a row of an image \(a/0\)"):
        read(path)


def test_no_keys_leave_nothing_out():
    rows, note = find_excluded_rows([], KEYS)
    assert (len(rows), note) == (0, "")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("file label\na/0.png 3\nb/0.png 4\nb/1.png 5\n", {"label": [3, 4, 5]}),
        ("file   label\n a/0.png  3\n b/0.png  4\n b/1.png  5", {"label": [3, 4, 5]}),
        ('"file" "my label"\n"1" "a/0.png" "x y"\n"2" "b/0.png" z\n"3" "b/1.png" z', {
            "my label": ["x y", "z", "z"]}),  # as R writes it
        ("id split\na/0.png train\nb/0.png test\nb/1.png test", {
            "split": ["train", "test", "test"]}),
    ],
)  # fmt: skip
def test_spaces_separate_where_nothing_else_does(text, columns, tmp_path):
    (tmp_path / "t.txt").write_text(text)
    rows = open_label_table(tmp_path / "t.txt", KEYS).rows
    assert {name: cells.tolist() for name, cells in rows.items()} == columns
    assert list(rows.index) == KEYS


@pytest.mark.parametrize("text", ["key\na b.png\na b c.png\n", "a b.png\na b c.png"])
def test_spaces_in_names_separate_nothing(text, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    assert open_label_table(tmp_path / "t.csv", ["a b.png", "a b c.png"]).column == "key"
