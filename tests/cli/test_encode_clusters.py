"""`latentia encode --clusters`: the column, what is printed, the picture, copies and the map."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import latentia
from latentia.cli.main import main
from latentia.explorer.session import RunSession
from latentia.explorer.worker import Worker
from latentia.latents.clusters import find_clusters, weigh_dims
from latentia.metrics.pca import fit_pixel_pca
from mistakes import error


def call(*words):
    assert main([str(w) for w in words]) == 0


@pytest.fixture
def photos(place, tmp_path):
    """30 images: 20 dark ones, and 10 light ones in a folder of their own."""
    rng = np.random.default_rng(0)
    for k in range(30):
        path = tmp_path / "photos" / ("light" if k < 10 else "dark") / f"{k:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 40, (28, 28)) + 200 * (k < 10)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return tmp_path / "photos"


def read_bytes(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}


def test_groups_are_a_column_a_picture_and_copies(run, photos, tmp_path, capsys):
    before, out = read_bytes(photos), tmp_path / "z.csv"
    words = ["encode", run, "--data", photos, "--clusters", "2", "--out", out]
    call(*words, "--sheet", tmp_path / "sheet.png", "--copy-to", tmp_path / "groups")
    text = capsys.readouterr().out
    table = pd.read_csv(out)
    names = list(table)
    assert names.index("cluster") == names.index("encoder") - 1  # among the scores
    assert (table["cluster"] == (table["label"] == "light")).all()
    mean, sd = (table.filter(regex=rf"^{part}_\d+$").to_numpy() for part in ("mu", "sd"))
    points = weigh_dims(mean, sd)
    np.testing.assert_array_equal(table["cluster"], find_clusters(points, 2).labels)
    assert "30 images in 2 groups: 20, 10." in text
    assert "label of 30 images" in text
    assert text.count("1.00 [1.00, 1.00]") == 3  # stable, as the labels, and so is the PCA
    dims = len(fit_pixel_pca(latentia.load(run).images, mean.shape[1]).axes.T)
    assert f"PCA of {dims} dimensions" in text
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 13 * 56
        assert "groups of 30 images by k-means" in picture.text["Description"]
    assert read_bytes(tmp_path / "groups") == {
        f"cluster-{key.startswith('light'):d}/{key}": content for key, content in before.items()
    }
    assert read_bytes(photos) == before
    assert text.splitlines()[-3:] == [
        str(tmp_path / "sheet.png"),
        f"{out}: table, with the group of each image",
        f"{tmp_path / 'groups'}: copies of the image files, by group",
    ]
    frame = latentia.load(run).encode(photos, clusters=2, progress=False)
    np.testing.assert_array_equal(frame["cluster"], table["cluster"])
    grid = latentia.load(run).with_data(photos).plot_clusters(2)
    np.testing.assert_array_equal(grid.table["cluster"], table["cluster"])
    assert "One group" in repr(latentia.load(run).find_clusters(split="test"))


def test_the_sheet_shows_the_nearest_images_left_and_the_farthest_right(run, photos):
    picture = latentia.load(run).with_data(photos).plot_clusters(2)
    images, table = picture.images.unflatten(0, (2, 13)), picture.table
    for group, row in enumerate(images):
        chosen = table[table["cluster"] == group].sort_values("distance")["row"]
        split = latentia.load(run).with_data(photos).split("all")
        shown = [*range(6), *range(-min(6, len(chosen) - 6), 0)]
        for place in shown:
            image = split.get_batch(slice(chosen.iloc[place], chosen.iloc[place] + 1)).image
            assert (row[place] == image[0]).all()
        assert row[6].isnan().all()


def test_a_label_of_that_name_stays(run, photos, tmp_path):
    rows = [f"{p.relative_to(photos)},{k}" for k, p in enumerate(sorted(photos.rglob("*.png")))]
    (tmp_path / "l.csv").write_text("\n".join(["file,cluster", *rows]))
    words = ["encode", run, "--data", photos, "--labels", tmp_path / "l.csv", "--clusters", "2"]
    call(*words, "--out", tmp_path / "z.csv")
    table = pd.read_csv(tmp_path / "z.csv")
    assert list(table["cluster"]) == list(range(30))
    assert set(table["latent_cluster"]) == {0, 1}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--sheet", "s.png"], "--sheet needs groups; give --clusters auto too."),
        (["--copy-to", "new"], "--copy-to needs groups; give --clusters auto too."),
        (["--clusters", "99"], "--clusters is 99; give auto, or a number of groups from 1 to 30"),
        (["--clusters", "2", "--sheet", "s.gif"], "--sheet s.gif ends in .gif; give a .png file."),
        (["--clusters", "2", "--copy-to", "{photos}/x"], "is in the folder of the images; give"),
        (["--clusters", "2", "--copy-to", "{photos}"], "exists, and nothing is overwritten; give"),
        (
            ["--clusters", "2", "--copy-to", "new", "--data", "{place}/toy.npy"],
            "--copy-to copies files of a folder, and 0 is none; leave it out.",
        ),
    ],
)
def test_mistakes(run, photos, place, tmp_path, capsys, words, text):
    words = [word.format(photos=photos, place=place) for word in words]
    before = read_bytes(photos)
    data = [] if "--data" in words else ["--data", photos]
    assert text in error(capsys, "encode", run, *data, *words, "--out", tmp_path / "z.csv")
    assert read_bytes(photos) == before
    assert not (tmp_path / "z.csv").exists()


def test_the_table_colours_the_map_by_group(run, photos, tmp_path):
    table = tmp_path / "z.csv"
    call("encode", run, "--data", photos, "--clusters", "2", "--out", table)
    session = RunSession.open(str(run), str(photos), "all", Worker())
    session.open_split(str(table), ["cluster"])
    session.load_latents()
    column = session.map_columns["cluster"]
    assert column.classes == ["0", "1"]
    np.testing.assert_array_equal(column.values, pd.read_csv(table)["cluster"])


@pytest.mark.parametrize("option", ["--copy-to", "--out"])
def test_a_folder_of_pictures_is_whole_or_not_there(option, run, photos, tmp_path, monkeypatch):
    """A command that ends halfway leaves nothing in the way of the same command."""
    monkeypatch.chdir(tmp_path)
    words = ["encode", run, "--data", photos, "--clusters", "2", "--copy-to", "new"]
    if option == "--out":
        words = ["sample", run, "-n", "6", "--out", "new/"]
    before, count = {path.name for path in tmp_path.iterdir()}, 0

    def write_three(*arguments, function):
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return function(*arguments)

    with monkeypatch.context() as patch:
        copy, write = shutil.copy2, Path.write_bytes
        patch.setattr(shutil, "copy2", lambda *args: write_three(*args, function=copy))
        if option == "--out":
            patch.setattr(Path, "write_bytes", lambda *args: write_three(*args, function=write))
        assert main([str(word) for word in words]) == 130
    before |= {"latents.parquet"} if option == "--copy-to" else set()
    assert {path.name for path in tmp_path.iterdir()} == before
    (tmp_path / "new").mkdir()
    call(*words)
    assert len(read_bytes(tmp_path / "new")) == (30 if option == "--copy-to" else 6)


def test_copies_are_there_only_beside_their_table(run, photos, tmp_path, monkeypatch, capsys):
    """A command that ends before its table is in place is gone on with by the same command."""
    monkeypatch.chdir(tmp_path)
    words = [
        "encode",
        run,
        "--data",
        photos,
        "--clusters",
        "2",
        "--copy-to",
        "new",
        "--out",
        "z.csv",
    ]

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("latentia.training.checkpoint.replace_file", interrupt)
        assert main([str(word) for word in words]) == 130
    assert not Path("new").exists()
    call(*words)
    assert len(read_bytes(Path("new"))) == len(pd.read_csv("z.csv")) == 30
    assert "nothing is overwritten" in error(capsys, *words)
