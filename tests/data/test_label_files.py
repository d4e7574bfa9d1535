"""Label files beside the images: those of the hub's image folders, and StyleGAN's."""

import json

import numpy as np
import pytest
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.reading import DEFAULT_READING, Reading
from latentia.data.sources.registry import LabelledData, make_source


def draw_images(folder, n=30, parts=3):
    """n images in folders 00000, 00001, ...; their names and keys."""
    keys = []
    for k in range(n):
        place = folder / f"{k % parts:05}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(place / f"{k:03}.png")
        keys.append(f"{place.name}/{k:03}.png")
    return keys


def read_labels(folder, column="label"):
    """Value of each key, by class name where it is a class."""
    split = open_images(str(folder)).split("all")
    values, names = split.columns[column].tolist(), split.classes[column]
    values = [names[v] if v >= 0 else None for v in values] if names else values
    return dict(zip(split.keys, values, strict=True))


def test_stylegans_labels_are_classes_and_its_folders_are_none(tmp_path):
    keys = draw_images(tmp_path)
    rows = [[key, k % 2] for k, key in enumerate(keys)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": rows}))
    assert read_labels(tmp_path) == {key: str(k % 2) for k, key in enumerate(keys)}
    assert open_images(str(tmp_path)).notes == [
        f"{tmp_path}/: the labels label are those of dataset.json."
    ]


def test_metadata_tables_name_the_images_of_their_own_folder(tmp_path):
    keys = draw_images(tmp_path, parts=2)
    (tmp_path / "00000" / "metadata.csv").write_text(
        "file_name,Year,kind\n"
        + "".join(f"{key[6:]},{1900 + int(key[6:9])},a\n" for key in keys[:-2] if key < "00001")
    )
    (tmp_path / "00001" / "metadata.jsonl").write_text(
        "".join(
            json.dumps({"file_name": key[6:], "Year": 2000, "kind": "b"}) + "\n"
            for key in keys
            if key > "00001"
        )
    )
    years, kinds = read_labels(tmp_path, "Year"), read_labels(tmp_path, "kind")
    assert years.pop("00000/028.png") is None  # no row
    assert years == {
        k: str(1900 + int(k[6:9])) if k < "00001" else "2000" for k in keys if k in years
    }
    assert kinds.pop("00000/028.png") is None
    assert kinds == {key: "a" if key < "00001" else "b" for key in kinds}
    note = open_images(str(tmp_path)).notes[0]
    assert note.endswith("Year, kind are those of 00000/metadata.csv, 00001/metadata.jsonl, which"
                         " lacks 1 image.")  # fmt: skip


def test_two_files_complete_each_other_and_nested_values_are_named(tmp_path):
    keys = draw_images(tmp_path)
    rows = [
        json.dumps({"file_name": key, "tags": [1], "kind": "ab"[k % 2]})
        for k, key in enumerate(keys)
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    (tmp_path / "Metadata.csv").write_text(
        "file_name,n\n" + "".join(f"{key},{k % 3}\n" for k, key in enumerate(keys))
    )
    images = open_images(str(tmp_path))
    assert images.classes == {"n": ["0", "1", "2"], "kind": ["a", "b"]}
    assert images.notes[0].endswith("those of Metadata.csv, metadata.jsonl.")
    assert images.notes[2].endswith(": not used as labels: tags.")


def test_classes_of_stylegan_may_be_missing_or_many(tmp_path):
    keys = draw_images(tmp_path)
    rows = [[key, None if k == 0 else k % 12] for k, key in enumerate(keys)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": rows}))
    assert open_images(str(tmp_path)).classes == {"label": [str(k) for k in range(12)]}
    assert read_labels(tmp_path)[keys[0]] is None


def test_a_file_that_names_no_image_leaves_the_folders_as_labels(tmp_path):
    draw_images(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,label\nother.png,3\n")
    images = open_images(str(tmp_path))
    assert images.classes == {"label": ["00000", "00001", "00002"]}
    assert (
        "metadata.csv: the names in it are those of no image, or of several; not used."
        in images.notes[0]
    )


def test_a_table_of_another_name_is_told_with_the_option(tmp_path):
    draw_images(tmp_path / "set", 8, 1)
    rows = "".join(f"{k};{k:03}.png;{k},5\r\n" for k in range(8))
    table = f"\ufeff;Datei;Länge\r\n{rows}"
    (tmp_path / "set" / "Tabelle.csv").write_text(table, encoding="utf-8")
    (tmp_path / "set" / "notes.txt").write_text("taken on monday\nby ada\n", encoding="utf-8")
    path = tmp_path / "set" / "Tabelle.csv"
    images = open_images(tmp_path / "set")
    (hint,) = [note for note in images.notes if "--labels" in note]
    assert f"Tabelle.csv names 8 of 8 images; --labels {path} takes its columns (Länge)" in hint
    labelled = open_images(make_source(LabelledData(tmp_path / "set", path), DEFAULT_READING))
    assert labelled.split("all").columns["Länge"].tolist() == [k + 0.5 for k in range(8)]
    assert not any("--labels" in note for note in labelled.notes)


def test_names_of_several_images_are_not_called_unknown(tmp_path):
    for folder in "ab":
        draw_images(tmp_path / folder, 4, 1)
    rows = "file_name,age\n000.png,1\n001.png,2\n"
    (tmp_path / "metadata.csv").write_text(rows, encoding="utf-8")
    images = open_images(tmp_path)
    assert images.classes == {"label": ["a", "b"]}
    assert "the names in it are those of no image, or of several; not used." in images.notes[0]


def test_names_of_an_address_are_those_of_files(tmp_path):
    for k, key in enumerate(draw_images(tmp_path, 4)):
        (tmp_path / key).rename(tmp_path / f"é {k}.png")
    rows = "".join(f"%C3%A9%20{k}.png,{k % 2}\n" for k in range(4))
    (tmp_path / "metadata.csv").write_text(f"file_name,label\n{rows}", encoding="utf-8")
    assert open_images(tmp_path).split("all").columns["label"].tolist() == [0, 1, 0, 1]


def test_folders_beside_a_table_without_a_label_are_told(tmp_path):
    keys = draw_images(tmp_path)
    rows = "".join(f"{key},{k / 7}\n" for k, key in enumerate(keys))
    (tmp_path / "metadata.csv").write_text(f"file_name,age\n{rows}")
    images = open_images(str(tmp_path))
    assert images.classes == {"age": None}
    text = "the folders (00000, 00001, 00002) are no labels beside these; --label-folder 1 adds"
    assert text in images.notes[1]
    both = open_images(Source(str(tmp_path), Reading(label_folder=1)))
    assert both.classes == {"age": None, "label": ["00000", "00001", "00002"]}


def test_a_broken_label_file_is_named(tmp_path):
    draw_images(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(Error, match=r"dataset.json is no table \(.*; correct it, or"):
        open_images(str(tmp_path)).split("all")


@pytest.mark.parametrize(
    "content",
    [[], {"other": []}, {"labels": 3}, {"labels": {"tumour": 1}, "file_ending": ".png"},
     {"labels": ["tumour", "ab"]}, {"labels": [["a.png", 1, 2]]}],
)  # fmt: skip
def test_a_dataset_json_of_another_program_is_no_label_file(content, tmp_path):
    draw_images(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    images = open_images(str(tmp_path))
    assert images.classes == {"label": ["00000", "00001", "00002"]}
    assert "not images, not used: dataset.json." in images.notes[0]


def test_a_number_sign_in_a_name_is_no_page(tmp_path):
    """img#1.png and img#2.png have rows of their own; a file of pages has one for all of them."""
    for k in range(4):
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(tmp_path / f"img#{k}.png")
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(tmp_path / f"scan#{k + 1}", "png")
    pages = [Image.fromarray(np.full((8, 8), k, np.uint8)) for k in range(3)]
    pages[0].save(tmp_path / "z#1.tif", save_all=True, append_images=pages[1:])
    names = [*(f"img#{k}.png" for k in range(4)), *(f"scan#{k}" for k in (1, 2, 3, 4)), "z#1.tif"]
    grades = dict(zip(names, "aabbccdda", strict=True))
    rows = "".join(f"{name},{grade}\n" for name, grade in grades.items())
    (tmp_path / "metadata.csv").write_text(f"file_name,grade\n{rows}")
    values = read_labels(tmp_path, "grade")
    grade = grades.pop("z#1.tif")
    assert values == grades | {f"z#1.tif#{k}": grade for k in range(3)}
