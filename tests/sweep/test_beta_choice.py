"""The beta for a purpose: the rule on known figures, and what is refused."""

import re
import shutil

import numpy as np
import pytest

import latentia
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.metrics.beta_choice import BetaChoice, Candidate, load_choices, save_choice
from latentia.metrics.rate_distortion import log_spaced_betas
from latentia.runs.folder import RunFolder
from latentia.sweep.beta_choice import PURPOSES, ImageSelection, choose_beta, find_candidates


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of many betas and one of a single one, on images whose first row tells the label."""
    folder = tmp_path_factory.mktemp("place")
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 500)
    images = draw.integers(0, 60, (500, 12, 10)) + 90 * y[:, None, None]
    np.savez(folder / "toy.npz", x=images.astype(np.uint8), y=y)
    knobs = {"data": str(folder / "toy.npz"), "latent": 3, "hidden": 16, "batch": 16, "epochs": 4}
    options = latentia.Options(validation=0.5)
    edits = {"multirate": {"multirate": "0.1:10"}}
    how = {"options": options, "lr": 1e-2, **knobs}
    latentia.train("mnist_mlp_vae", run=folder / "many", modifiers=edits, **how)
    latentia.train("mnist_mlp_vae", run=folder / "single", **how)
    return folder


def rigged(monkeypatch, kind, values):
    """The figures of the betas 1, 2, ... are these."""
    figure, rule, _ = PURPOSES[kind]
    told = dict(zip(log_spaced_betas((0.1, 10), len(values)), values, strict=True))
    monkeypatch.setitem(PURPOSES, kind, (figure, rule, lambda e, _: (told[e.run.beta], 0.1)))


@pytest.mark.parametrize(
    ("kind", "values", "index"),
    [
        ("reconstruction", [1.0, 1.019, 1.03, 2], 1),  # 2 % more than the least is as good
        ("reconstruction", [1.02, 1.0, 1.015, 2], 2),
        ("sampling", [3, 2, 1, 4], 2),
        ("disentangling", [0.1, 0.4, 0.3, 0.2], 1),
    ],
)
def test_each_purpose_has_its_rule(place, monkeypatch, kind, values, index):
    rigged(monkeypatch, kind, values)
    among = find_candidates(place / "many", 4)
    found = choose_beta(among, kind)
    assert found.chosen == found.candidates[index]
    assert [each.value for each in found.candidates] == values


def test_prediction_of_a_label_is_out_of_fold_and_better_than_chance(place):
    found = choose_beta(find_candidates(place / "many", 3), "regression:label")
    assert found.chosen.value == max(each.value for each in found.candidates) > 0.8
    assert found.split == "validation"
    assert found.n == 225


def test_a_table_that_names_some_images_chooses_by_these(place, tmp_path, capsys):
    """A gap in another column is no matter."""
    label = np.load(place / "toy.npz")["y"].tolist()
    rows = "".join(f"{k},{label[k]},{'' if k else 1}\n" for k in range(0, 500, 2))
    (tmp_path / "labels.csv").write_text(f"key,kind,other\n{rows}")
    words = ["--for", "regression:kind", "--labels", str(tmp_path / "labels.csv"), "--points", "2"]
    shutil.copytree(place / "many", tmp_path / "many")
    assert main(["choose", str(tmp_path / "many"), *words]) == 0
    shown = capsys.readouterr().out
    few = int(re.findall(r"; (\d+) images \(split validation", shown)[0])
    assert f"labels.csv has no values for {225 - few} of 225 images (split validation: " in shown
    validation = RunFolder.open(place / "many").images().split("validation").keys
    assert few == sum(int(key) % 2 == 0 for key in validation)


def test_what_lies_within_the_error_is_said():
    rows = [Candidate(1, 5.0, 0.3), Candidate(2, 4.0, 0.3), Candidate(3, 4.4, 0.3)]
    found = BetaChoice("sampling", "", "", "validation", 9, rows[1], rows)
    assert found.equivalent_betas == [3]


def test_choices_for_several_purposes_are_kept_and_spoilt_ones_are_named(place, tmp_path):
    run = find_candidates(place / "many", 2)[0][1]
    one = Candidate(1.0, 2.0, None)
    for purpose in ("sampling", "reconstruction"):
        save_choice(run, BetaChoice(purpose, "f", "r", "validation", 9, one, [one]))
    assert {k: v["chosen"]["beta"] for k, v in load_choices(run).items()} == {
        "sampling": 1.0,
        "reconstruction": 1.0,
    }
    (run.path / "choices.json").write_text("[")
    with pytest.raises(Error, match=r"choices.json is damaged: .* Remove it, and measure again"):
        load_choices(run)
    (run.path / "choices.json").unlink()
    assert load_choices(run) == {}


@pytest.mark.parametrize(
    ("purpose", "said"),
    [
        ("samplin", "--for is samplin; did you mean sampling. it must be reconstruction"),
        (
            "regression",
            "--for is regression; it must be .*regression: with a label column, such as",
        ),
        ("sampling:x", "--for is sampling:x;"),
        ("regression:Year", "--for regression:Year names no label; there are label: name one of"),
    ],
)
def test_a_purpose_that_is_none(place, purpose, said):
    with pytest.raises(Error, match=said):
        choose_beta(find_candidates(place / "many", 2), purpose)


def test_a_run_of_one_beta_offers_no_choice(place, tmp_path):
    with pytest.raises(
        Error, match="single was trained for a single beta, so there is no choice; train"
    ):
        find_candidates(place / "single", 3)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(Error, match="holds no complete run with a beta; sweep --over beta=log"):
        find_candidates(tmp_path, 3)


def test_too_few_images_for_a_purpose_are_said(place):
    among = find_candidates(place / "many", 2)
    with pytest.raises(
        Error, match="--for regression:label needs 20 images with finite values that differ; val"
    ):
        choose_beta(among, "regression:label", ImageSelection(n=3))
    with pytest.raises(Error, match="--for disentangling needs two factor columns and 40 images; "):
        choose_beta(among, "disentangling")
