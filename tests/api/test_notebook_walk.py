"""A notebook of a user who comes from scikit-learn or scvi-tools: an array in, tables out."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import latentia

X, Y = load_digits().images[:300] / 16, load_digits().target[:300]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The first cell."""
    path = tmp_path_factory.mktemp("notebook") / "digits"
    options = latentia.Options(seed=1, threads=1)
    parameters = {"data": X, "latent": 4, "hidden": 64, "batch": 32, "epochs": 8}
    return latentia.train("mnist_mlp_vae", run=path, options=options, progress=False, **parameters)


def test_a_table_of_latents_goes_into_any_other_tool(run):
    table = run.encode()
    assert isinstance(table, pd.DataFrame)
    assert len(table) == len(X)
    assert list(table.columns[:4]) == ["key", "split", "mu_0", "mu_1"]
    assert set(table["split"]) == {"train", "validation", "test"}
    assert (table[["rate", "distortion", "mse"]] >= 0).all(axis=None)
    z = table.filter(like="mu_").to_numpy()
    assert LogisticRegression(max_iter=1000).fit(z, Y).score(z, Y) > 0.3  # by chance 0.1
    train = table[table["split"] == "train"]
    pd.testing.assert_frame_equal(run.encode("train"), train.reset_index(drop=True), rtol=1e-4)


def test_new_images_are_encoded_as_the_runs_own(run):
    own = run.encode().iloc[:5]
    new = run.encode(X[:5])
    assert list(new["split"]) == ["new"] * 5
    same = [name for name in own.columns if name not in ("key", "split")]
    pd.testing.assert_frame_equal(own[same], new[same], rtol=1e-4)
    pd.testing.assert_frame_equal(run.encode(torch.from_numpy(X[:5])), new)
    pd.testing.assert_frame_equal(run.encode(list(X[:5])), new)


def test_labels_are_given_beside_the_array(run):
    table = run.encode(labels=Y)
    assert table["label"].tolist() == [str(y) for y in Y]
    names = pd.Series([f"digit {y}" for y in Y], name="digit")
    named = run.encode("test", labels=names)
    own = names[named["key"].astype(int)]
    assert named["digit"].tolist() == own.tolist()
    result = run.relate(Y, split="all", k=4, permutations=19)
    assert result.associations[0].scores[-1].score > 0.3
    assert repr(result) == "AssociationResult(label (class); 4 dimensions)"
    with pytest.raises(latentia.Error, match="The labels are 299 for 300 images; give"):
        run.relate(Y[1:])


def test_images_come_back_as_tensors(run):
    shape = (1, 28, 28)
    assert run.sample(3, seed=1).shape == (3, *shape)
    for n in (1, 2, 3, 5, 6, 7, 9):
        few, many = run.sample(n, seed=1), run.sample(16, seed=1)[:n]
        torch.testing.assert_close(few, many, rtol=0, atol=1e-6)  # AVX512 rounds few rows otherwise
    assert run.reconstruct(X[:2]).shape == (2, *shape)
    assert torch.equal(run.reconstruct([0, 1]), run.reconstruct(X[:2]))
    z = run.encode(X[:2]).filter(like="mu_")
    torch.testing.assert_close(run.decode(z.to_numpy()), run.reconstruct(X[:2]))
    torch.testing.assert_close(run.decode(z), run.reconstruct(X[:2]))  # pandas
    path = run.interpolate(X[:2], steps=5)
    torch.testing.assert_close(path[[0, -1]], run.reconstruct(X[:2]))
    walk = run.traverse(X[0], dims=2, steps=5)
    assert walk.images.shape == (2, 5, *shape)
    assert run.traverse(X[0], dims=walk.dims, steps=5).dims == walk.dims
    assert run.attribute(X[0], dims=[3]).shape == (1, *shape)
    near = run.nearest(0, n=4, split="all")
    assert "0" not in set(near["key"])
    assert near["distance"].is_monotonic_increasing
    keys = run.split("all").keys
    for split in (None, "all", "test"):  # a row is what `nearest` itself takes
        near = run.nearest(0, n=4, split=split)
        rows = keys if split is None else run.split(split).keys
        assert [rows[row] for row in near["row"]] == list(near["key"])


def test_results_say_their_n_interval_and_split(run):
    results = run.evaluate(["elbo", "pca"], "image")
    assert [each.name for each in results][:1] == ["nelbo_nats"]
    bound = results["nelbo_nats"]
    low, high = bound.interval
    assert low < bound.value < high
    assert (bound.n, bound.split, bound.unit) == (30, "test", "nats")
    assert str(bound).startswith("nelbo_nats: ")
    assert results.to_frame().loc[0, "name"] == "nelbo_nats"
    assert (run.path / "evaluation.json").exists()
    with pytest.raises(latentia.Error, match="2 results are named mse; the results are nelbo_nats"):
        results["mse"]
    findings = run.diagnose().findings
    assert all(finding.severity in ("ERROR", "WARNING", "NOTE") for finding in findings)


def test_what_a_notebook_shows_is_short_and_has_pictures(run):
    pictures = [
        run.plot_samples(4),
        run.plot_reconstructions(X[:3]),
        run.plot_traversal(0, dims=2, steps=3),
        run.plot_interpolation([0, 1], steps=3),
        run.plot_nearest(0, n=2),
        run.plot_attribution(0, dims=1),
        run.plot_decoded(np.zeros((2, 4))),
    ]
    for picture in pictures:
        assert picture._repr_png_().startswith(b"\x89PNG")
    run.evaluate("elbo")
    html = run._repr_html_()
    assert "mnist_mlp_vae" in html
    assert "nelbo_nats" in html
    assert "data:image/png;base64," in html
    shown = [run, run.images, run.split("test"), run.evaluate("elbo")[0], pictures[0]]
    assert max(len(repr(each)) for each in shown) < 200
    assert "<table" in run.evaluate("elbo")._repr_html_()
    assert run.diagnose().verdict in run.diagnose()._repr_html_()


def test_a_run_is_opened_again_with_its_array(run):
    again = latentia.load(run.path)
    assert torch.equal(again.sample(2), run.sample(2))
    assert len(again.encode(X[:3])) == 3  # new images need no data
    with pytest.raises(latentia.Error, match="in memory; give it again as data"):
        again.encode()
    with_array = latentia.load(run.path, data=X)
    pd.testing.assert_frame_equal(with_array.encode(), run.encode())
    assert with_array.report() == run.path / "report.html"
    other = run.with_data(X[:40] ** 2)
    assert set(other.encode()["split"]) == {"new"}
    assert other.evaluate("elbo")[0].split == "all"


def test_the_log_is_a_table(run):
    log = run.log
    assert log[log["event"] == "logged"]["vae.terms.rate"].notna().all()
    assert log["step"].max() == log["total"].max()


def test_a_prior_takes_the_run(run, tmp_path):
    parameters = {"width": 16, "depth": 1, "epochs": 1, "clusters": 0}
    prior = latentia.train(
        "latent_prior", autoencoder=run, data=X, run=tmp_path / "p", progress=False, **parameters
    )
    assert prior.sample(2, sampler="euler", steps=2).shape == (2, 1, 28, 28)
    assert prior.encode(X[:2]).filter(like="mu_").shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.encode("tset"), "tset does not exist"),
        (lambda run: run.traverse(X[:2]), r"2 images were given; give one, such as images\[:1\]"),
        (
            lambda run: run.traverse(0, dims=9),
            r"the model has 4 latent dimensions: give top:4 \(in Python 4\)",
        ),
        (lambda run: run.decode([[0.0]]), "z is not rows of 4 finite numbers each"),
        (lambda run: run.sample(0), "-n is 0; it must be at least 1"),
        (lambda run: run.compare("b"), r"other is 'b'; give an opened run, such as latentia\.load"),
        (
            lambda run: run.complete(X[:2], np.zeros((2, 28, 28))),
            "The mask is 2 images; give one, which is that of all images",
        ),
        (lambda run: run.evaluate("elbow"), "There is no metric elbow; did you mean elbo"),
        (lambda run: run.reconstruct([]), "No image was given; give at least one file, key"),
        (lambda run: run.export("onx"), "There is no format onx; did you mean onnx"),
    ],
)
def test_mistakes_are_told_in_one_sentence(run, call, message):
    with pytest.raises(latentia.Error, match=message):
        call(run)


WRONG_TYPES = """
import sys, latentia
run = latentia.train("mnist_mlp_vae", "digits:60", run=sys.argv[1], epochs=1, progress=False)
calls = [
    lambda: run.sample(None),
    lambda: run.find_clusters(None),
    lambda: run.encode("test", clusters=2.5),
    lambda: run.find_direction(3),
    lambda: run.plot_map(3, "mse"),
]
for call in calls:
    try:
        call()
    except latentia.Error as error:
        print(error)
"""


def test_arguments_of_wrong_types_are_told_in_one_sentence(tmp_path):
    """In a process of its own: here beartype would refuse them before latentia does."""
    words = [sys.executable, "-c", WRONG_TYPES, str(tmp_path / "run")]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    texts = (
        "-n is None; it",
        "--clusters is None; give",
        "--clusters is 2.5; give",
        "--toward is 3;",
        "image is of type int;",
    )
    lines = result.stdout.splitlines()
    assert len(lines) == len(texts)
    assert all(line.startswith(text) for line, text in zip(lines, texts, strict=True))


def test_progress_is_on_stderr_and_can_be_off(tmp_path, capfd):
    parameters = {"data": X[:60], "hidden": 8, "latent": 2, "batch": 16, "epochs": 1}
    latentia.train("mnist_mlp_vae", run=tmp_path / "a", progress=False, **parameters)
    assert capfd.readouterr() == ("", "")
    latentia.train("mnist_mlp_vae", run=tmp_path / "b", **parameters)
    out, err = capfd.readouterr()
    assert out == ""
    for text in ("50 train", "epoch 1  validation", "ERROR   few steps", "report.html"):
        assert text in err
    latentia.resume(tmp_path / "b", data=X[:60], progress=False)
    assert capfd.readouterr() == ("", "")
