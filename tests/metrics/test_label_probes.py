"""Labels that are read from coordinates, beside those that a PCA's coordinates tell."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import latentia
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.core.text import format_with_error
from latentia.latents.encoding import encode_split
from latentia.latents.probes import probe_labels
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.label_probes import MAX_IMAGES, compare_probes
from latentia.metrics.measure import load_metrics
from latentia.metrics.registry import METRICS
from latentia.runs.folder import RunFolder

OPTIONS = {"hidden": 16, "latent": 6, "epochs": 2, "batch": 32, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("probed") / "run"
    latentia.train("mnist_mlp_vae", "digits", run=path, **OPTIONS)
    return RunFolder.open(path)


def evaluation(run, **columns):
    images = run.images()
    split = images.split("test")
    return Evaluation(run, images, split.with_columns({**split.columns, **columns}))


def test_both_rows_are_the_probe_of_their_own_coordinates_on_the_same_images(run):
    e = evaluation(run)
    (result,) = METRICS["probe"].measure(e)
    labels = e.split.columns["label"].numpy()
    own = probe_labels(encode_split(e.autoencoder, e.split).mean, labels, True, max_permutations=1)
    assert (result.value, *result.interval) == (own.score, own.low, own.high)
    assert (result.name, result.unit, result.n) == ("probe_label", "accuracy", len(e.split))
    dims = math.prod(e.autoencoder.latent_shape)
    x, y = (e.images.split(name)[:].flatten(1).numpy() for name in ("train", "test"))
    oracle = PCA(dims, svd_solver="full").fit(x.astype("f8"))
    theirs = probe_labels(oracle.transform(y), labels, True, max_permutations=0)
    assert result.beside["PCA of 6 dimensions"] == pytest.approx(
        (theirs.score, theirs.low, theirs.high), abs=0.01
    )
    assert result.beside["chance"] == (own.chance,)


def test_evaluate_has_a_row_for_each_column_by_default_and_keeps_it(run, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(run.path)]) == 0
    output = capsys.readouterr().out
    for text in ("probe_label", "PCA of 6", "chance", "[ ]: 95 % interval over images"):
        assert text in output
    kept = load_metrics(run)["probe_label"]
    assert kept.interval[0] < kept.value < kept.interval[1]
    assert {*kept.beside} == {"PCA of 6 dimensions", "chance"}
    assert "[95 % interval]; n = " in repr(kept)
    e = evaluation(run)
    pixels = e.split[:].flatten(1).mean(1).double()
    e = evaluation(run, brightness=pixels, same=torch.ones(len(pixels)))
    names = [each.name for each in METRICS["probe"].measure(e)]
    assert names == ["probe_label", "probe_brightness"]


def test_images_without_labels_have_no_probe_and_say_so(tmp_path):
    images = np.random.default_rng(0).random((60, 8, 8), np.float32)
    run = latentia.train("mnist_mlp_vae", images, run=tmp_path / "run", **OPTIONS)
    assert "probe" not in " ".join(result.name for result in run.evaluate())
    with pytest.raises(Error, match=r"probe needs a label column of two values .* give data with"):
        run.evaluate("probe")


def test_a_label_is_worse_only_beyond_both_intervals():
    draw = np.random.default_rng(0)
    y = draw.normal(size=400)
    near, far = (np.c_[y + s * draw.normal(size=400), draw.normal(size=400)] for s in (0.2, 3.0))
    for run, pca, is_worse in ((far, near, True), (near, far, False), (near, near, False)):
        (pair,) = compare_probes(run, pca, {"y": y}, {})
        assert pair.is_worse == is_worse
        assert pair.is_worse == (pair.run.high < pair.pca.low)


def test_columns_that_no_probe_can_read_are_left_out_and_many_images_thinned():
    x = np.random.default_rng(0).normal(size=(3000, 3))
    columns = {
        "y": x[:, 0],
        "constant": np.ones(3000),
        "infinite": np.where(x[:, 1] > 0, np.inf, x[:, 1]),
        "gaps": np.where(x[:, 1] > 2.5, x[:, 2], np.nan),
        "each": np.arange(3000),
        "image": x,
    }
    classes = {"each": [str(k) for k in range(3000)]}
    pairs = compare_probes(x, x, columns, classes)
    assert [pair.column for pair in pairs] == ["y"]
    assert pairs[0].run.n == MAX_IMAGES
    many = {f"y{k}": x[:, 0] for k in range(20)}
    assert {
        pair.run.n
        for pair in compare_probes(
            x[:500], x[:500], {name: values[:500] for name, values in many.items()}, {}
        )
    } == {300}


def test_the_report_shows_each_label_beside_the_pca_and_keeps_its_numbers(run):
    page = latentia.load(run.path).report().read_text()
    section = page.split("<h2>Yardsticks</h2>")[1].split("</section>")[0]
    for text in ("<th>label, ", "PCA of 6 dimensions", "chance", "95 % interval", "accuracy"):
        assert text in section
    kept = json.loads((run.path / "evaluation.json").read_text())["report"]
    assert [row["name"] for row in kept["probe"]] == ["probe_label"]
    assert {row["name"] for row in kept["pca"]} == {"mse", "pca_mse", "mse_over_pca"}
    assert format_with_error(*(kept["sharpness"][0][k] for k in ("value", "error"))) in page
    assert "±: one standard error over images." in page
