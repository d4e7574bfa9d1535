"""Commands on named latents: what each writes, and its error texts."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

import latentia
import latentia.runs.images
from latentia.cli.main import main
from latentia.report.grids import make_grid
from latentia.runs.folder import RunFolder
from latentia.runs.image_names import resolve_image
from mistakes import error


@pytest.fixture
def labels(place, tmp_path):
    """Of the photos: a year and a brand each."""
    lines = [f"{k:02}.png,{1990 + k},{'AB'[k % 2]}" for k in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,Year,Brand", *lines]))
    return tmp_path / "labels.csv"


def call(*words):
    assert main([str(w) for w in words]) == 0


def test_encode_names_every_image_and_its_split(run, place, tmp_path, labels, capsys):
    out = tmp_path / "new" / "t.parquet"
    call("encode", run, "--out", out)
    assert capsys.readouterr().out == f"{out}\n"
    rows = pq.read_table(out).to_pydict()
    assert rows["key"] == [str(k) for k in range(40)]
    assert {s: rows["split"].count(s) for s in set(rows["split"])} == {
        "train": 33, "validation": 3, "test": 4,
    }  # fmt: skip
    call("encode", run, "--split", "test", "--out", out)
    assert pq.read_table(out)["key"].to_pylist() == [
        key for key, split in zip(rows["key"], rows["split"], strict=True) if split == "test"
    ]
    call("encode", run, "--data", place / "photos", "--labels", labels, "--label-cols", "Brand",
         "--thumbnails", "--out", out)  # fmt: skip
    rows = pq.read_table(out).to_pydict()
    assert rows["Brand"] == ["A", "B"] * 6
    assert set(rows["split"]) == {"new"}
    assert {"image", "mu", "x", "y"} < rows.keys()
    assert "Year" not in rows


def test_relate_prints_a_table_or_json_and_draws(run, place, tmp_path, capsys):
    path = tmp_path / "labels.csv"
    path.write_text("name,odd\n" + "".join(f"{k},{k % 2}\n" for k in range(40)))
    words = ["relate", run, "--split", "all", "--labels", path, "--k", "2"]
    words += ["--permutations", "30"]
    call(*words)
    assert "odd" in capsys.readouterr().out
    for kind in ("png", "svg"):
        call(*words, "--json", "--out", tmp_path / f"r.{kind}")
        result = json.loads(capsys.readouterr().out)
        assert (result["n"], result["split"], result["permutations"]) == (40, "all", 30)
        assert result["relations"][0]["kind"] == "class"
        assert len(result["relations"][0]["p"]) == 3
        assert (tmp_path / f"r.{kind}").stat().st_size > 10_000


def test_a_table_that_names_some_images_is_enough(run, place, tmp_path, capsys):
    """Related are those with a row; a table of latents has them all."""
    path = tmp_path / "labels.csv"
    rows = "".join(f"{k},{k % 2 or ''},{k}\n" if k else "0,,0\n" for k in range(30))
    path.write_text(f"name,odd,place\n{rows}")
    words = ["--labels", path, "--label-cols", "place"]
    call("relate", run, "--split", "all", *words, "--permutations", "30", "--k", "1", "--json")
    done = capsys.readouterr()
    assert json.loads(done.out)["n"] == 30
    assert done.err == (
        f"{path} has no values for 10 of 40 images (split all: place of 10): these have no value.\n"
    )
    call("encode", run, "--labels", path, "--out", tmp_path / "t.parquet")
    assert (
        "has no values for 25 of 40 images (split all: odd of 25, place of 10): these have"
        in capsys.readouterr().err
    )
    result = pq.read_table(tmp_path / "t.parquet")
    assert result["place"].to_numpy()[:30].tolist() == list(range(30))
    assert np.isnan(result["place"].to_numpy()[30:]).all()
    assert result["key"].to_pylist() == [str(k) for k in range(40)]


def test_pictures_of_coordinates(run, place, tmp_path, capsys):
    photo = place / "photos" / "03.png"
    call("traverse", run, "1", "--dims", "2,0", "--steps", "5", "--out", tmp_path / "t.png")
    call("traverse", run, photo, "--steps", "3", "--out", tmp_path / "t.gif")
    call("traverse", run, photo, "--steps", "3", "--out", tmp_path / "t.npy")
    call("attribute", run, photo, "--out", tmp_path / "a.png")
    call("attribute", run, photo, "--dims", "1", "--out", tmp_path / "a.npy")
    call("interpolate", run, "0", photo, "2", "--spherical", "--out", tmp_path / "i.png")
    with Image.open(tmp_path / "t.png") as picture:
        assert "image 1 along one latent" in picture.text["Description"]  # pyright: ignore
        assert picture.height > 3 * 56
    call("interpolate", run, "0", "2", "--steps", "3", "--out", tmp_path / "i.gif")
    for name in ("t", "i"):  # there and back; it rests where it turns
        with Image.open(tmp_path / f"{name}.gif") as picture:
            times = [picture.seek(k) or picture.info["duration"] for k in range(picture.n_frames)]  # pyright: ignore
        assert [time > 2 * min(times) - 1 for time in times] == [True, False, True, False]
    assert np.load(tmp_path / "t.npy").shape == (3, 3, 1, 28, 28)
    assert np.load(tmp_path / "a.npy").shape == (1, 1, 28, 28)
    with Image.open(tmp_path / "i.png") as picture:
        assert picture.width > 12 * 56  # ten steps between two originals
        assert "arcs" in picture.text["Description"]  # pyright: ignore


def test_an_image_has_one_name_everywhere(run, place, tmp_path, capsys):
    """Its key in the table, or its row there, is the image that every command takes."""
    data = np.load(place / "toy.npy") / np.float32(255)
    call("encode", run, "--out", tmp_path / "t.npz")
    table = np.load(tmp_path / "t.npz")
    opened, at = RunFolder.open(run), list(table["split"]).index("test")

    def load_image(name, split=None, data=None):
        return resolve_image(opened, name, split, data)[1].image

    for name in (str(at), table["key"][at]):
        np.testing.assert_array_equal(load_image(name)[0, 0], data[at])
    np.testing.assert_array_equal(load_image("0", "test")[0, 0], data[at])  # in the split
    by_file = load_image(str(place / "photos" / "03.png"))
    for name in ("03.png", "3"):
        assert (load_image(name, data=place / "photos") == by_file).all()
    for words, message in (
        (["3"], "image 3 along one"),
        (["3", "--split", "test"], "image 3 of test along"),
        (["03.png", "--split", "test", "--data", place / "photos"], "image 03.png along one"),
    ):
        call("traverse", run, *words, "--dims", "0", "--steps", "2", "--out", tmp_path / "t.png")
        with Image.open(tmp_path / "t.png") as picture:
            assert message in picture.text["Description"]  # pyright: ignore


def test_neighbours_bear_their_names_and_no_image_is_its_own(run, place, tmp_path, monkeypatch):
    options = {}
    monkeypatch.setattr(
        "latentia.report.rendered_images.make_grid",
        lambda *a, **k: options.update(k) or make_grid(*a, **k),
    )
    photos = ["--data", place / "photos", "--split", "all", "-n", "20"]
    for name in ("03.png", "3"):
        call("nearest", run, name, *photos, "--out", tmp_path / "n.png")
        names = [text.partition(": ")[0] for text in options["labels_below"]]
        assert names[0] == "image"
        assert sorted(names[1:]) == [f"{k:02}.png" for k in range(12) if k != 3]


@pytest.mark.parametrize(
    "words", [["nearest", "0"], ["outliers"], ["outliers", "--by", "distance"]]
)
def test_a_search_prints_and_writes_the_table_that_python_returns(
    run, place, tmp_path, words, capsys, monkeypatch
):
    labels = ["--data", place / "photos", "--split", "all"]  # without labels, and other images
    python = latentia.load(run)
    method = python.nearest if words[0] == "nearest" else python.find_outliers
    image = {"image": 0} if words[0] == "nearest" else {"by": (words[2:] or ["error"])[0]}
    expected = method(n=5, split="all", **image)
    paths = [tmp_path / f"t.{kind}" for kind in ("csv", "tsv", "json")]
    for path in paths:
        options = ["-n", "5", "--split", "all", "--table", path, "--out", tmp_path / "p.png"]
        call(words[0], run, *words[1:], *options)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("run: ")
        assert lines[-2:] == [str(path), str(tmp_path / "p.png")]
        cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
        assert [row[0] for row in cells] == list(expected["key"])
        assert [row[1] for row in cells] == list(expected["split"])
    tables = [pd.read_csv(paths[0]), pd.read_csv(paths[1], sep="\t"), pd.read_json(paths[2])]
    for table in tables:
        assert list(table) == list(expected)
        assert list(table["key"].astype(str)) == list(expected["key"])
        np.testing.assert_allclose(table.iloc[:, 3:], expected.iloc[:, 3:].astype(float), rtol=1e-6)
    call(words[0], run, *words[1:], *labels, "-n", "3", "--out", tmp_path / "p.npy")
    shape = (4, 1, 28, 28) if words[0] == "nearest" else (3, 1, 28, 56)
    assert np.load(tmp_path / "p.npy").shape == shape
    assert "│ new" in capsys.readouterr().out


def test_labels_stand_in_the_table_of_a_search(run, place, tmp_path):
    """Without class numbers; a label that is called as another column has a name of its own."""
    folder = tmp_path / "classes"
    for k in range(12):
        (folder / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(place / "photos" / f"{k:02}.png", folder / "ab"[k % 2])
    (folder / "metadata.csv").write_text(
        "file_name,label,distance\n"
        + "".join(f"{'ab'[k % 2]}/{k:02}.png,{'ab'[k % 2]},{k}\n" for k in range(12))
    )
    out = ["--table", tmp_path / "t.csv", "--out", tmp_path / "o.png"]
    call("outliers", run, "--data", folder, "-n", "12", "--by", "distance", *out)
    call("outliers", run, "-n", "1", "--table", tmp_path / "one.csv", "--out", tmp_path / "o.png")
    assert len(pd.read_csv(tmp_path / "one.csv")) == 1
    table = pd.read_csv(tmp_path / "t.csv")
    assert list(table["key"].str[0]) == list(table["label"])
    assert list(table["distance_label"]) == [int(key[2:4]) for key in table["key"]]
    assert "label_code" not in table


def test_a_walk_toward_a_label_prints_what_python_returns(run, tmp_path, capsys):
    path = tmp_path / "labels.csv"
    path.write_text("name,odd\n" + "".join(f"{k},{k % 2}\n" for k in range(40)))
    toward = ["--toward", "odd", "--labels", path, "--steps", "4"]
    call("traverse", run, "3", *toward, "--out", tmp_path / "t.npy")
    python = latentia.load(run)
    direction = python.find_direction("odd", labels=path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == direction.text
    assert lines[-1] == str(tmp_path / "t.npy")
    names = {line.split("│")[1].strip() for line in lines if "│" in line}
    assert names == {*direction.moving["column"]}
    walk = python.traverse(3, toward=python.find_direction("odd", labels=path), steps=4)
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), walk.images.numpy())
    call("traverse", run, "3", *toward, "--out", tmp_path / "t.png")
    capsys.readouterr()
    labelled = ["--labels", path]
    for words, message in (
        (["--toward", "odd", "--dims", "0", *labelled], "--toward and --dims are both given"),
        (["--toward", "odd", "--axes", "principal", *labelled], "--toward and --axes are both"),
        (labelled, "--labels needs --toward, the column to move toward; give both."),
        (["--toward", "even", *labelled], "the images have no column even, but brightness, con"),
        (["--toward", "odd", "--steps", "1", *labelled], "--steps is 1; it must be at least 2"),
    ):
        assert message in error(capsys, "traverse", run, "3", *words), words


def test_the_same_picture_twice(run, tmp_path):
    for name in ("a", "b"):
        call("attribute", run, "1", "--out", tmp_path / f"{name}.png")
        call("traverse", run, "1", "--out", tmp_path / f"{name}.gif")
    for kind in ("png", "gif"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize("words", [("encode", "--out", "t.npz"), ("evaluate",)])
def test_images_are_opened_once(run, tmp_path, words, monkeypatch):
    opened, real = [], latentia.runs.images.open_images
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        latentia.runs.images, "open_images", lambda *a, **k: opened.append(a) or real(*a, **k)
    )
    call(words[0], run, *words[1:])
    assert len(opened) == 1


def test_latents_are_decoded_to_single_images_beside_their_keys(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("encode", run, "--out", "z.csv", "--split", "test")
    call("decode", run, "--latents", "z.csv", "--out", "single/")
    call("decode", run, "--latents", "z.csv", "--out", "z.npz")
    keys = pd.read_csv("z.csv", dtype=str)["key"].tolist()
    table = pd.read_csv("single/metadata.csv", dtype=str)
    assert table["key"].tolist() == keys
    with np.load("z.npz") as arrays:
        assert arrays["y"].tolist() == keys
        for name, image in zip(table["file_name"], arrays["x"], strict=True):
            pixels = np.asarray(Image.open(f"single/{name}"))
            np.testing.assert_allclose(pixels / 255, image[0], atol=0.51 / 255)


@pytest.mark.parametrize("name", ["sample", "reconstruct", "relate", "traverse", "interpolate",
                                  "nearest", "outliers", "decode", "attribute"])  # fmt: skip
def test_what_cannot_be_written_is_refused_before_anything_is_made(name, capsys):
    options = {"interpolate": "01", "traverse": "0", "nearest": "0", "attribute": "0"}.get(name, "")
    latents = ["--latents=0"] if name == "decode" else []
    message = error(capsys, name, "nowhere", *options, *latents, "--out", "x.pdf")
    assert message.startswith("--out x.pdf ends in .pdf; give a .png or a .")


def test_mistakes(run, place, labels, tmp_path, capsys):
    photos = ["--data", place / "photos"]
    for words, message in (
        (["encode", run, "--out", "t.txt"], "--out t.txt ends in .txt; give .parquet, .csv or"),
        (
            ["encode", run, "--labels", labels],
            "no row for 38 of 40 images: its column 'file' holds",
        ),
        (["encode", run, *photos, "--labels", labels, "--label-cols", "Bread"], "no column Bread"),
        (
            ["relate", run],
            "4 images cannot be related to anything; give at least 20, for instance --split all",
        ),
        (["relate", run, "--split", "all"], "The images have no label columns. Give labels with"),
        (["relate", run, *photos, "--labels", labels], "12 images cannot be related"),
        (["traverse", run, "0", "--dims", "7"], "--dims is 7; the model has"),
        (["traverse", run, "0", "--steps", "1"], "--steps is 1; it must be at least 2"),
        (["traverse", run, "0", "--out", "t.jpg"], "ends in .jpg; give a .png or a .gif or a .npy"),
        (["attribute", run, "0", "--out", "t.gif"], "ends in .gif; give a .png or a .svg or"),
        (["attribute", run, "99"], "There is no image 99 in split all; it has images 0 to 39."),
        (
            ["attribute", run, "4", "--split", "test"],
            "image 4 in split test; it has images 0 to 3.",
        ),
        (
            ["nearest", run, "no.png", *photos],
            "no image no.png in split all; it has images 0 to 11, the first of them 00.png.",
        ),
        (
            ["reconstruct", run, "no.png", "--data", "gone/"],
            "There is no file no.png, nor an image of this key",
        ),
        (
            ["nearest", run, "0", "--table", "t.xlsx"],
            "--table t.xlsx ends in .xlsx; give a .csv or a .tsv or a .json file.",
        ),
        (
            ["outliers", run, "--out", "t.csv"],
            "--out is a picture (.png or .npy); give --table t",
        ),
        (["nearest", run, "0", "--out", "t.json"], "; give --table t.json for the table."),
        (["outliers", run, "--table", tmp_path], f"--table {tmp_path} is a folder; give a .csv or"),
        (["outliers", run, "-n", "0"], "-n is 0; it must be at least 1."),
        (
            ["outliers", run, "--by", "nats"],
            "--by is nats; it must be one of error, distance, excess (order",
        ),
        (["interpolate", run, "0"], "The number of images is 1; it must be at least 2."),
    ):
        assert message in error(capsys, *words), words
    assert not (tmp_path / "t.txt").exists()
