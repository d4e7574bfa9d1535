"""The first screen of the report: map, samples by class, traversals, outliers, yardsticks."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

import latentia
from latentia.latents.clusters import Score, find_clusters
from latentia.metrics.evaluation import Evaluation
from latentia.report.grids import GAP
from latentia.report.overview import COLOURS, NO_CLASS, Overview, assign_cells, describe_distance
from latentia.report.sections import Section
from latentia.runs.folder import RunFolder
from latentia.runs.priors import find_learned_prior
from latentia.training.checkpoint import read_json, write_json
from latentia.training.events import Finding

OPTIONS = {"epochs": 1, "batch": 32, "progress": False}
TITLES = ["Map", "Samples", "Traversals", "Unusual images", "Yardsticks"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("overview") / "run"
    return latentia.train("mnist_mlp_vae", "digits:300", run=path, hidden=16, latent=4, **OPTIONS)


def test_each_cell_shows_the_point_nearest_to_its_middle():
    points = np.random.default_rng(0).normal(size=(2000, 2))
    cells = assign_cells(points, 10)
    assert len({*cells.values()}) == len(cells) <= 100
    low, high = np.quantile(points, [0.01, 0.99], axis=0)
    for cell, row in cells.items():
        middle = np.array([cell % 10 + 0.5, 9 - cell // 10 + 0.5])
        places = ((points - low) / (high - low) * 10).clip(0, 10 - 1e-6)
        inside = np.flatnonzero((np.floor(places) + 0.5 == middle).all(1))
        distances = np.abs(places - middle).max(1)
        assert row in inside
        assert distances[row] == distances[inside].min()
    assert {*assign_cells(points[:, :1], 10)} == {*range(90, 100)}  # one dimension: a line
    assert len(assign_cells(np.zeros((5, 2)), 10)) == 1


def test_a_frame_has_the_colour_of_its_class(run):
    images, rows = run.images.split("all"), [0, 5, 9]
    evaluation = Evaluation(run.folder, run.images, images)
    framed, legend = Overview(evaluation, images).frame_classes(rows)
    tiles = images.get_batch(torch.tensor(rows)).image
    codes = images.columns["label"][rows]
    for frame, tile, code in zip(framed, tiles, codes.tolist(), strict=True):
        assert frame[:, 0, 0].tolist() == pytest.approx(to_rgb(COLOURS[code]))
        inside = frame[:, 2:-2, 2:-2]
        assert torch.equal(inside, tile.expand_as(inside))
    assert re.findall("background:(#[0-9a-f]{6})", legend) == [*COLOURS]
    assert re.findall("</i>(.*?)</span>", legend) == images.classes["label"]
    missing = images.with_columns({"label": torch.full((len(images),), -1)})
    framed, _ = Overview(evaluation, missing).frame_classes(rows)
    assert framed[1, :, 0, 0].tolist() == pytest.approx(to_rgb(NO_CLASS))
    script = (Path(latentia.__file__).parent / "explorer" / "explorer.js").read_text("utf-8")
    assert json.dumps(COLOURS) in script  # the same class has the same colour there


def test_unusual_images_have_their_distances(run, monkeypatch):
    images, requested = run.images.split("all"), []

    def make_grid(*given, **_):
        requested.append(given)
        return Section("", "", [])

    monkeypatch.setattr("latentia.report.overview.make_grid_section", make_grid)
    Overview(Evaluation(run.folder, run.images, images), images).make_outliers()
    ((_, _, _, caption, labels),) = requested
    keys, distances = zip(*(label.split("\n") for label in labels), strict=True)
    assert {*keys} < {*images.keys}
    assert [*distances] == sorted(distances, key=float, reverse=True)
    assert "median" in caption


def test_axes_are_in_order_beside_the_original_and_above_their_values(run, monkeypatch):
    images, requested = run.images.split("all"), []

    def make_grid(*given, **options):
        requested.append((*given, options["row_labels"]))
        return Section("", "", [])

    monkeypatch.setattr("latentia.report.overview.make_grid_section", make_grid)
    Overview(Evaluation(run.folder, run.images, images), images).make_traversals()
    ((_, tiles, columns, _, labels, row_labels),) = requested
    numbers = [int(label.split()[1]) for label in row_labels]
    assert numbers == sorted(numbers)
    assert len(tiles) == len(labels) == columns * len(numbers)
    for k in range(0, len(labels), columns):
        values = [*map(float, labels[k + 1 : k + columns])]
        assert labels[k] == "original"
        assert values == sorted(values)


@pytest.mark.parametrize(("number", "is_stable"), [(1, True), (2, True), (2, False)])
def test_the_groups_have_a_sheet_unless_there_is_one_or_they_are_unstable(
    run, monkeypatch, number, is_stable
):
    score = Score(0.9, 0.8, 1.0) if is_stable else Score(0.5, 0.4, 0.6)
    monkeypatch.setattr("latentia.latents.clusters.measure_stability", lambda *given: score)
    monkeypatch.setattr(
        "latentia.report.overview.find_clusters", lambda points: find_clusters(points, number)
    )
    images = run.images.split("all")
    evaluation = Evaluation(run.folder, run.images, images)
    title, text, pictures = Overview(evaluation, images).make_clusters()
    table = run.encode("all", clusters=number, progress=False)
    counts = ", ".join(map(str, table["cluster"].value_counts().sort_index()))
    assert text.startswith(f"300 images in {number} group{'s' * (number > 1)}: {counts}.")
    assert len(pictures) == (number - 1) * is_stable
    assert title == "Groups of similar images"
    for picture in pictures:  # the page has the caption, so that the picture has none
        shown = Image.open(io.BytesIO(base64.b64decode(picture.html.split("base64,")[1][:-2])))
        assert "left: the images nearest to the mean of their group" in picture.caption
        assert shown.width < 540  # that of its column in the page, where the words are as large
        assert shown.height == number * (56 + GAP) + GAP


@pytest.mark.report
def test_the_first_screen_stands_before_the_numbers(run):
    page = run.report().read_text()
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[:6] == [*TITLES, "Groups of similar images"]
    assert page.index("<h2>Yardsticks") < page.index("negative ELBO") < page.index("<h2>Training")


@pytest.mark.report
def test_no_line_breaks_within_an_option(run):
    """`white-space: nowrap` holds each word of a command, and each option of a sentence."""
    page = run.report().read_text()
    assert ".word { white-space: nowrap; }" in page
    commands = re.findall('<pre class="command">(.*?)</pre>', page)
    assert any("--epochs" in command for command in commands)
    words = re.compile('<span class="word">.*?</span>')
    assert [each for each in commands if words.sub("", each).strip()] == []
    body = page.split("</style>")[1].split("<h2>Settings")[0]
    assert re.findall(r"(?<![>\w])--\w", re.sub(r"<img[^>]*>", "", body)) == []


def test_samples_are_those_of_the_learned_prior_beside_the_run_by_class(run, monkeypatch):
    assert find_learned_prior(run.folder) is None
    keywords = {"cond": "label", "width": 16, "depth": 1, **OPTIONS}
    path = run.path.with_name("prior")
    latentia.train("latent_prior", run=path, autoencoder=str(run.path), **keywords)
    assert find_learned_prior(RunFolder.open(run.path)).path == path
    kept = read_json(path / "diagnosis.json")
    planted = Finding(1, "planted", "The prior", "ERROR", "fails.")
    write_json(path / "diagnosis.json", {**kept, "findings": [planted._asdict()]})
    page = run.report().read_text()
    assert "prior cannot be used: planted" in page
    assert "<b>ERROR · planted:</b> The prior fails." in page
    verdicts = re.findall('<p class="verdict"><a href="#(.*?)">(.*?)</a></p>', page)
    assert "prior cannot be used: planted" in dict(verdicts)["findings-2"]
    for anchor, verdict in verdicts:  # each leads to its first finding, which it names
        finding = f'<div class="finding .*?" id="{anchor}">\n<p><b>.*? · (.*?):</b>'
        (kind,) = re.findall(finding, page)
        assert f": {kind}" in verdict
    assert re.findall("<h2>(.*?)</h2>", page)[1] == "Samples conditioned on label"
    assert "prior: 100 samples, seed 0, learned prior" in page
    assert re.search(r"No kernel distance to \d\d real images: of fewer than 50 it is noise", page)
    monkeypatch.setattr("latentia.report.overview.MIN_COMPARED", 2)
    evaluation = Evaluation(run.folder, run.images, run.images.split("validation"))
    text = describe_distance(evaluation, RunFolder.open(path))
    assert re.search("in the features pixels: .* samples .*, .* real images, the floor", text)
    own = latentia.load(path).report().read_text()
    titles = re.findall("<h2>(.*?)</h2>", own)
    assert titles[:5] == [TITLES[0], "Samples conditioned on label", *TITLES[2:]]
    other = latentia.train(
        "mnist_mlp_vae", "digits:300", run=run.path.with_name("b"), hidden=16, latent=4, seed=1,
        **OPTIONS,
    )  # fmt: skip
    assert find_learned_prior(other.folder) is None  # of other weights
    metadata = run.folder.metadata
    images = {**metadata["images"], "labels": {"label": ["odd", "even"]}}
    relabelled = replace(run.folder, metadata={**metadata, "images": images})
    assert find_learned_prior(relabelled) is None  # the same images, seed and weights
    (path / "run.json").write_text("{")
    assert find_learned_prior(run.folder) is None
