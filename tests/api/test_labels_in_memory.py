"""Labels that are given beside the images, in Python."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import latentia
from latentia.data import Source
from latentia.runs.metadata import check_metadata

N = 60
X = np.random.default_rng(0).integers(0, 256, (N, 9, 8), dtype=np.uint8)
Y = np.arange(N) % 3
WORDS = [f"c{y}" for y in Y]
TOY = {"hidden": 8, "latent": 3, "batch": 16, "epochs": 2, "threads": 1, "progress": False}


def train(path, data=X, **parameters):
    return latentia.train("mnist_mlp_vae", data, run=path, **TOY | parameters)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (Y, {"label": ["0", "1", "2"]}),
        (Y.tolist(), {"label": ["0", "1", "2"]}),
        (torch.tensor(Y), {"label": ["0", "1", "2"]}),
        (WORDS, {"label": ["c0", "c1", "c2"]}),
        (pd.Series(Y, index=range(5, 5 + N)), {"label": ["0", "1", "2"]}),
        (pd.Series(WORDS, name="animal"), {"animal": ["c0", "c1", "c2"]}),
        (pd.DataFrame({"u": Y / 3, "v": WORDS}), {"u": None, "v": ["c0", "c1", "c2"]}),
        (pd.DataFrame({"": WORDS}), {"column 1": ["c0", "c1", "c2"]}),
        (np.stack([Y, Y], 1), {"label": ["0", "1", "2"], "label_2": ["0", "1", "2"]}),
        (np.eye(3)[Y], {"label": ["0", "1", "2"]}),
        ({str(k): word for k, word in enumerate(WORDS)}, {"label": ["c0", "c1", "c2"]}),
        ([word.encode() for word in WORDS], {"label": ["c0", "c1", "c2"]}),
    ],
)
def test_each_kind_of_labels_has_its_columns(labels, classes):
    images = latentia.open_images(Source(list(X), labels=labels))
    assert images.classes == classes
    columns = images.split("all").columns
    for name in classes:
        expected = Y / 3 if name == "u" else Y
        np.testing.assert_allclose(columns[name], expected, rtol=1e-6)
    test = images.split("test")
    assert test.columns[name].tolist() == Y[[int(key) for key in test.keys]].tolist()


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (Y[1:], "The labels are 59 for 60 images; give one for each, in the order"),
        ([object()] * N, "label of the labels holds object; give one number"),
        (pd.DataFrame([[1, 2]] * N, columns=["a", "a"]), "The labels have two columns called 'a'"),
        (np.zeros((N, 2, 2)), "The labels are no values with one row an image .*; give a list"),
        ("no.csv", "no.csv does not exist"),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_one_sentence(tmp_path, labels, text):
    with pytest.raises(latentia.Error, match=text):
        train(tmp_path / "r", labels=labels)
    assert not (tmp_path / "r").exists()


def test_labels_serve_supervision_priors_tables_and_a_resumed_run(tmp_path):
    run = train(tmp_path / "r", labels=WORDS, supervise="label", latent=3)
    assert "vae.terms.label label" in run.log
    assert run.encode("test")["label"].isin(WORDS).all()
    assert run.relate(permutations=19, split="all").associations[0].label == "label"
    parameters = {"width": 8, "depth": 1, "batch": 16, "epochs": 1, "progress": False}
    prior = latentia.train(
        "latent_prior", X, labels=WORDS, autoencoder=run, cond="label", run=tmp_path / "p",
        **parameters,
    )  # fmt: skip
    assert prior.sample(2, cond="c1", steps=2).shape == (2, 1, 28, 28)
    with pytest.raises(latentia.Error, match=r"labels in memory; give them again as labels\."):
        latentia.resume(run.path, X)
    with pytest.raises(latentia.Error, match="no longer those that it was trained with"):
        latentia.resume(run.path, X, labels=WORDS[::-1])
    assert latentia.resume(run.path, X, labels=WORDS, progress=False).is_complete
    again = latentia.load(run.path, X, labels=WORDS)
    pd.testing.assert_frame_equal(again.encode(), run.encode())
    assert "label" not in latentia.load(run.path, X).encode()
    assert any("data, labels=labels" in each for each in list_commands(run))


def list_commands(run):
    return [each for finding in run.diagnose().findings for each in finding.suggested_commands]


@pytest.mark.parametrize(
    "make",
    [
        lambda files: pd.DataFrame({"file": files, "animal": WORDS[::-1]}),
        lambda files: pd.DataFrame({"n": range(N), "animal": WORDS[::-1], "id": files}),
        lambda files: pd.DataFrame({"animal": WORDS[::-1]}, index=files),
        lambda files: pd.Series(WORDS[::-1], index=files, name="animal"),
        lambda files: {"file": files, "animal": WORDS[::-1]},
        lambda files: pd.DataFrame({"file": files[:40], "animal": WORDS[::-1][:40]}),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ""])
def test_a_table_of_pandas_that_names_the_images_is_joined_by_name(make, suffix, tmp_path):
    for k, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{k:02}.png")
    files = [f"{k:02}{suffix}" for k in range(N)][::-1]
    split = latentia.open_images(Source(str(tmp_path), labels=make(files))).split("all")
    codes, names = split.columns["animal"].tolist(), split.classes["animal"]
    labels = {key: names[code] for key, code in zip(split.keys, codes, strict=True) if code >= 0}
    assert labels == {key: WORDS[int(key[:2])] for key in labels}
    assert len(labels) in (40, N)


def test_text_that_names_no_images_is_in_their_order():
    labels = pd.DataFrame({"file": [f"{k}.png" for k in range(N)][::-1], "animal": WORDS})
    labels["number"] = [str(k) for k in range(N)][::-1]
    split = latentia.open_images(Source(X, labels=labels)).split("all")
    assert [split.classes["animal"][code] for code in split.columns["animal"]] == WORDS


@pytest.mark.parametrize("kind", ["table", "values"])
def test_a_folder_has_labels_of_a_table_or_in_its_order(tmp_path, kind):
    folder = tmp_path / "photos"
    folder.mkdir()
    for k, image in enumerate(X):
        Image.fromarray(image).save(folder / f"{k:02}.png")
    labels = pd.Series(WORDS, name="animal")
    if kind == "table":
        labels = tmp_path / "labels.csv"
        rows = [f"{k:02}.png,{word}\n" for k, word in enumerate(WORDS)]
        labels.write_text("file,animal\n" + "".join(reversed(rows)))
    run = train(tmp_path / "r", str(folder), labels=labels)
    table = run.encode("test")
    assert table["animal"].tolist() == [WORDS[int(key[:2])] for key in table["key"]]
    again = latentia.load(run.path)
    assert ("animal" in again.encode("test")) == (kind == "table")  # run.json has its address
    if kind == "table":
        assert latentia.resume(run.path, progress=False).is_complete
        supervised = train(tmp_path / "s", str(folder), labels=labels, supervise="animal")
        assert supervised.metadata["images"]["label_source"] == str(labels)


def test_missing_labels_are_no_error_of_a_training(tmp_path):
    words = [None, *WORDS[1:]]
    run = train(tmp_path / "r", labels=words, supervise="label", latent=3)
    assert any(
        "has no values for 1 of 60 images (split all: " in note for note in run.metadata["notes"]
    )
    assert run.encode("all")["label"].tolist() == ["", *words[1:]]
    content = json.loads((run.path / "run.json").read_text())
    content["modifiers"]["supervise"]["labels"] = "/t.csv"  # where it was in an earlier version
    images = check_metadata(content)["images"]
    assert (images["label_source"], "joined" in images) == ("/t.csv", False)
