"""Colours, search, thumbnails and selections of the map."""

import base64
import csv
import io
import shlex
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import latentia
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.data.label_tables import open_label_table
from latentia.explorer import map_table, session
from latentia.explorer.map_table import find_keys, write_selection
from latentia.explorer.projection import project_latents
from latentia.explorer.session import RunSession
from latentia.explorer.worker import Worker
from mistakes import error


def post(client, path, **body):
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json() if "json" in answer.headers["content-type"] else answer.content


def list_keys(place):
    return sorted(f"{each.parent.name}/{each.name}" for each in (place / "photos").rglob("*.png"))


def test_the_map_has_the_colours_of_the_table_and_of_the_outliers(served, place):
    client = served("vae")
    run = latentia.load(place / "vae")
    table = run.encode("all", progress=False)
    outliers = run.find_outliers(300, by="distance").sort_values("row")
    columns = client.get("/api/runs").json()["runs"][0]["columns"]
    assert next(iter(columns)) == "label"
    assert columns["split"] == ["test", "train", "validation"]
    for name in ("mse", "rate", "distortion"):
        np.testing.assert_array_equal(post(client, "map", column=name)["values"], table[name])
    distance = post(client, "map", column="distance")["values"]
    np.testing.assert_allclose(distance, outliers["distance"], rtol=1e-5)
    splits = [columns["split"][int(k)] for k in post(client, "map", column="split")["values"]]
    assert splits == list(table["split"])


def test_a_file_of_labels_colours_the_map_and_is_in_the_selection(place, served, tmp_path):
    keys = list_keys(place)
    rows = [f"{key},{'odd' if k % 2 else 'even'},{k / 4 if k % 3 else ''}" for k, key in
            enumerate(keys[:250])]  # fmt: skip
    (tmp_path / "mine.csv").write_text("\n".join(["file,kind,dose", *rows]), encoding="utf-8")
    client = served("vae", labels=str(tmp_path / "mine.csv"))
    columns = client.get("/api/runs").json()["runs"][0]["columns"]
    assert list(columns)[:3] == ["kind", "dose", "label"]
    assert columns["kind"] == ["even", "odd"]
    assert post(client, "map", column="kind")["values"] == [0, 1] * 125 + [None] * 50
    dose = post(client, "map", column="dose")["values"]
    assert dose[:4] == [None, 0.25, 0.5, None]
    saved = pd.read_csv(io.BytesIO(post(client, "selection", rows=[299, 1, 2])))
    assert list(saved["key"]) == [keys[1], keys[2], keys[299]]
    assert list(saved["kind"])[:2] == ["odd", "even"]
    assert list(saved["dose"])[:2] == [0.25, 0.5]


def test_a_selection_is_the_rows_that_encode_writes_and_the_outlier_score(served, place, tmp_path):
    out = tmp_path / "all.csv"
    assert main(["encode", str(place / "vae"), "--out", str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    content = post(served("vae"), "selection", rows=[7, 3, 3, 150]).decode()
    names, *selection = csv.reader(io.StringIO(content, newline=""))
    score = names.index("distance")
    assert [name for name in names if name != "distance"] == header
    assert [each[:score] + each[score + 1 :] for each in selection] == [rows[3], rows[7], rows[150]]


def test_no_cell_of_a_selection_is_run_by_a_spreadsheet(tmp_path):
    keys = ["=1+1.png", "+cat.png", "-a.png", "@b.png", " =c.png", "＝d.png", "e.png", 'f",=g.png']
    values = ["-3", "+1,5", "-3-1", "\t=x", "\r=x", "\n=x", "", "@SUM(A1)"]
    table = pa.table([keys, values, np.arange(-4.0, 4)], ["key", "=evil()", "mse"])
    content = write_selection(table, 8, range(8)).decode()
    (names, *rows) = csv.reader(io.StringIO(content, newline=""))
    assert names == ["key", "'=evil()", "mse"]
    assert [row[0] for row in rows] == [*(f"'{key}" for key in keys[:6]), *keys[6:]]
    assert [row[1] for row in rows] == [
        *("-3", "+1,5", "'-3-1", "'\t=x", "'\r=x", "'\n=x", "", "'@SUM(A1)")
    ]
    assert [float(row[2]) for row in rows] == [-4, -3, -2, -1, 0, 1, 2, 3]
    (tmp_path / "selection.csv").write_bytes(write_selection(table, 8, range(5)))
    named = open_label_table(tmp_path / "selection.csv", keys)  # the same images by these names
    assert list(named.rows.index) == keys[:5]


def test_a_selection_of_too_many_cells_is_refused(monkeypatch):
    table = pa.table({"key": ["a", "b", "c"], "mse": [0.0, 1, 2]})
    monkeypatch.setattr(map_table, "MAX_CELLS", 4)
    assert len(write_selection(table, 3, [0, 2]).splitlines()) == 3
    with pytest.raises(Error, match="The selection has 6 cells; at most 4 are saved here"):
        write_selection(table, 3, [0, 1, 2])


@pytest.mark.parametrize(
    ("text", "is_there"),
    [("3/", True), ("png", True), (".PNG", True), ("\\", True), ("3/0", True), ("nowhere", False)],
)
def test_images_are_found_by_a_part_of_their_key(served, place, text, is_there):
    keys = list_keys(place)
    reply = post(served("vae"), "find", text=text)
    part = text.replace("\\", "/").lower()
    assert reply["rows"] == [k for k, key in enumerate(keys) if part in key.lower()]
    assert reply["count"] == len(reply["rows"])
    assert is_there == bool(reply["count"])


def test_an_exact_key_is_found_before_others_that_contain_it():
    split = latentia.open_images(np.zeros((120, 8, 8))).split("all")
    assert find_keys(split, "12")[0] == split.keys.index("12")
    assert len(find_keys(split, "1")) == sum("1" in key for key in split.keys)


def test_thumbnails_are_the_images(served, place):
    keys = list_keys(place)
    reply = post(served("vae"), "thumbnails", rows=[250, 4])
    assert reply["names"] == [keys[250], keys[4]]
    for url, key in zip(reply["images"], reply["names"], strict=True):
        content = base64.b64decode(url.removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(content)) as shown, Image.open(place / "photos" / key) as image:
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(image))


def test_neighbours_are_those_of_the_command_though_the_map_has_more_images(
    served, place, tmp_path, monkeypatch
):
    for module in ("explorer.session", "api.run_tables"):
        monkeypatch.setattr(f"latentia.{module}.SAMPLE", 50)
    client = served("vae")
    assert client.get("/api/runs").json()["runs"][0]["shown"] == 300
    body = {"image": {"index": 7}, "n": 8}
    words = shlex.split(post(client, "nearest", **body)["command.png"])
    monkeypatch.chdir(tmp_path)
    assert main([*words[1:-1], "near.png"]) == 0
    saved = post(client, "nearest", **body, file=".png")
    assert saved == (tmp_path / "near.png").read_bytes()


def test_a_map_of_very_many_images_has_a_sample_of_them(served, place, monkeypatch):
    monkeypatch.setattr(map_table, "MAX_MAP_IMAGES", 299)
    monkeypatch.setattr(map_table, "SAMPLE", 40)
    client = served("vae")
    reply = post(client, "map", column="mse")
    assert len(reply["rows"]) == len(reply["values"]) == 40
    assert (reply["rows"][0], reply["rows"][-1]) == (0, 299)
    answer = client.post("/api/selection", json={"rows": [0, 1]})
    assert answer.status_code == 422
    assert "Image 1 is not on the map" in answer.json()["detail"]
    found = post(client, "find", text="png")
    assert (len(found["rows"]), found["count"]) == (299, 300)


def test_umap_has_neighbours_among_few_images_and_needs_four(monkeypatch):
    made, distances = [], []

    class UMAP:
        def __init__(self, n_neighbors, **options):
            made.append(n_neighbors)
            distances.append(options["min_dist"])

        def fit_transform(self, mean):
            return mean[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    monkeypatch.setattr("latentia.explorer.projection.find_spec", lambda name: name)
    for n in (4, 16, 300):
        mean = np.zeros((n, 3), np.float32)
        assert project_latents("umap", mean, (), ()).points.shape == (n, 2)
    assert made == [3, 15, 15]
    project_latents("umap", mean, (), (), (40, 0.5))
    assert (made[-1], distances) == (40, [0.1, 0.1, 0.1, 0.5])
    with pytest.raises(Error, match="UMAP needs at least 4 images; this map has 3"):
        project_latents("umap", np.zeros((3, 3), np.float32), (), ())


def test_a_label_of_the_score_s_name_keeps_it(place, tmp_path, monkeypatch):
    text = "\n".join(f"{key},{k}" for k, key in enumerate(list_keys(place)))
    (tmp_path / "mine.csv").write_text(f"file,distance\n{text}", encoding="utf-8")
    run = RunSession.open(str(place / "vae"), None, "all", Worker())
    run.open_split(str(tmp_path / "mine.csv"))
    run.load_latents()
    np.testing.assert_array_equal(run.map_columns["distance"].values, np.arange(300))
    assert run.map_columns["distance_score"].values.max() < 100
    monkeypatch.setattr(map_table, "MAX_SCORED_DIMS", 3)  # fewer than the run has
    assert session.encode_map is map_table.encode_map
    other = RunSession.open(str(place / "vae"), None, "all", Worker())
    other.load_latents()
    assert "distance" not in other.map_columns


def test_the_options_of_umap_reach_the_map(served, place, monkeypatch):
    asked = []
    projection = project_latents("pca", np.eye(300, 4), (), ())
    client = served("vae")
    monkeypatch.setattr(
        "latentia.explorer.routes.project_latents", lambda *how: asked.append(how) or projection
    )
    post(client, "map", kind="umap")
    assert asked[0][0] == "umap"
    assert asked[0][4] == (15, 0.1)


def test_other_maps_do_not_wait_for_umap(served, monkeypatch):
    others, started = threading.Event(), threading.Event()
    projection = project_latents("pca", np.eye(300, 4), (), ())

    def project(kind, *how):
        started.set()
        assert kind != "umap" or others.wait(60)
        return projection

    monkeypatch.setattr("latentia.explorer.routes.project_latents", project)
    with served("vae") as client, ThreadPoolExecutor() as pool:  # one event loop
        umap = pool.submit(post, client, "map", kind="umap")
        started.wait(60)
        post(client, "map", kind="pca")
        assert not umap.done()
        others.set()
        assert umap.result()["rows"]


@pytest.mark.parametrize("labels", [[], ["--labels", "dose.csv"]])
def test_an_unknown_column_of_labels_is_refused_before_anything_is_served(
    place, tmp_path, capsys, monkeypatch, labels
):
    monkeypatch.chdir(tmp_path)
    rows = [f"{key},1" for key in list_keys(place)]
    Path("dose.csv").write_text("\n".join(["key,label", *rows]), "utf-8")
    monkeypatch.setattr("latentia.explorer.server.open_listener", lambda *_: 1 / 0)
    text = error(capsys, "explore", place / "vae", *labels, "--label-cols", "foo")
    assert text.endswith("has no column foo; name one of its columns: label.")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--umap-neighbors", "1"], "--umap-neighbors is 1; it must be at least 2."),
        (["--umap-distance", "2"], "--umap-distance is 2; give a number from 0 to 1."),
    ],
)
def test_options_of_umap_out_of_range(place, capsys, words, text):
    assert error(capsys, "explore", place / "vae", *words).endswith(text)


def test_the_server_gives_its_sessions_the_options_of_umap(place, monkeypatch):
    opened, open_session = [], RunSession.open
    monkeypatch.setattr("latentia.explorer.server.open_listener", lambda *_: 1 / 0)
    monkeypatch.setattr(
        RunSession, "open", lambda *how: opened.append(open_session(*how)) or opened[-1]
    )
    words = ["explore", str(place / "gan"), "--umap-neighbors", "40", "--umap-distance", "0.5"]
    with pytest.raises(ZeroDivisionError):
        main(words)
    assert opened[0].umap == (40, 0.5)


def write_coordinates(place, file, columns, change=None):
    """Write a table of file names and these columns (300,), in another order than the images."""
    table = pd.DataFrame({"file": list_keys(place), **columns})
    table = table.sample(frac=1, random_state=0) if change is None else change(table)
    table.to_csv(file, index=False)
    return str(file)


def test_own_places_are_the_map(place, served, tmp_path):
    x, y = np.arange(300) / 7, np.arange(300) % 11 - 5.0
    file = write_coordinates(place, tmp_path / "own.csv", {"x": x, "y": y})
    client = served("vae", coordinates=file)
    assert client.get("/api/runs").json()["runs"][0]["own"] is True
    answer = post(client, "map", kind="own", column="label")
    np.testing.assert_allclose(answer["places"], np.round(np.stack([x, y], 1), 4))
    assert answer["names"] == ["x", "y"]
    assert answer["axes"] is answer["origin"] is None
    assert len(answer["values"]) == 300


def test_own_vectors_are_shown_on_their_principal_axes(place, served, tmp_path):
    plane = np.random.default_rng(0).normal(size=(300, 2)) * [9, 3]
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))
    vectors = plane @ turn[:2]
    file = write_coordinates(
        place, tmp_path / "own.csv", {f"v{k}": vectors[:, k] for k in range(5)}
    )
    answer = post(served("vae", coordinates=file), "map", kind="own")
    # counted from 0, as by the report, --dims and the columns pc_*
    assert [name.split(",")[0] for name in answer["names"]] == [
        "principal axis 0",
        "principal axis 1",
    ]
    places = np.array(answer["places"])
    distances = np.linalg.norm(places[:100, None] - places[None, 100:200], axis=-1)
    truth = np.linalg.norm(plane[:100, None] - plane[None, 100:200], axis=-1)
    np.testing.assert_allclose(distances, truth, atol=1e-3)


def test_without_own_coordinates_there_is_no_such_map(served):
    client = served("vae")
    assert client.get("/api/runs").json()["runs"][0]["own"] is False
    answer = client.post("/api/map", json={"kind": "own"})
    text = "The explorer was started without --coordinates; choose another plane."
    assert (answer.status_code, answer.json()["detail"]) == (422, text)


@pytest.mark.parametrize(
    ("columns", "change", "text"),
    [
        (
            {"x": np.arange(300), "kind": ["a", "b", "c"] * 100},
            None,
            "{} has texts in kind; coordinates are file names and at least two columns of numbers.",
        ),
        (
            {"x": np.arange(300)},
            None,
            "{} has one column of numbers; coordinates are file names and at least two columns of"
            " numbers.",
        ),
        (
            {"x": np.arange(300), "y": np.arange(300)},
            lambda table: table[2:],
            "{} has no coordinates of 2 images of the map, such as {keys}; give a row of finite"
            " numbers for each, or another --split.",
        ),
    ],
)
def test_coordinates_that_do_not_fit_end_the_command(
    place, capsys, tmp_path, columns, change, text
):
    file = write_coordinates(place, tmp_path / "own.csv", columns, change)
    said = error(capsys, "explore", place / "vae", "--coordinates", file)
    keys = ", ".join(list_keys(place)[:2])
    assert said.endswith(text.format(file, keys=keys))
