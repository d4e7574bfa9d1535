"""Curves: each panel holds what its title says."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latentia.data import open_images
from latentia.report.figures import draw_training_curves
from latentia.report.prior_figures import sample_conditions
from latentia.training.log import ROLES

LABEL = "validation, beta 1"


@pytest.mark.parametrize("player", ["vae", "critic"])
def test_only_the_player_whose_objective_it_bounds_is_drawn_with_the_negative_elbo(
    player, monkeypatch
):
    drawn = []
    monkeypatch.setattr(
        "latentia.report.figures._draw_validation", lambda *given: drawn.append(given[2:])
    )
    terms = {"vae": {"distortion": 90.0, "rate": 9.0}, "critic": {"real": 0.7, "sample": 0.7}}
    players = {
        k: {"terms": v, "weights": dict.fromkeys(v, 1.0), "roles": {t: ROLES[t] for t in v}}
        for k, v in terms.items()
    }
    logged = [{"step": k, "images": 8 * k, "players": players} for k in (1, 2, 3)]
    validated = [{"step": 3, "values": {"nelbo": 99.0, "distortion": 90.0, "rate": 9.0}}]
    draw_training_curves(logged, validated, player)
    assert (("nelbo", LABEL) in drawn) == (player == "vae")


@pytest.mark.parametrize("n_rows", [2, 5])
@pytest.mark.parametrize("grows", [False, True])
def test_weights_have_a_panel_if_they_change_and_few_values_are_dots(n_rows, grows, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "latentia.report.figures.to_svg", lambda figure: figures.append(figure) or ""
    )
    terms = {"distortion": 90.0, "rate": 9.0}
    logged = [
        {"step": k, "images": 8 * k, "players": {"vae": {
            "terms": terms, "roles": {}, "weights": {"distortion": 1.0, "rate": 1.0 + k * grows},
        }}}
        for k in range(1, n_rows + 1)
    ]  # fmt: skip
    draw_training_curves(logged, [], "vae")
    (axes,) = (figure.axes for figure in figures)
    titles = ["distortion", "rate", "objective", *["weights of the terms"] * grows]
    assert [axis.get_title("left") for axis in axes] == titles
    markers = {line.get_marker() for axis in axes for line in axis.lines}
    assert markers == {"." if n_rows < 5 else ""}


def test_conditions_of_many_classes_are_drawn_by_seed_and_not_the_first_by_name(tmp_path):
    names = [f"{k:02}" for k in range(30)]
    np.savez(tmp_path / "a.npz", x=np.zeros((90, 8, 8), np.uint8), y=np.array(names * 3))
    split = open_images(str(tmp_path / "a.npz")).split("train")
    requested = []

    def sample(n, cond):
        requested.extend(cond.tolist())
        return torch.zeros(n, 1, 8, 8)

    model = SimpleNamespace(num_classes=30, column="label", sample=sample)
    images, labels = sample_conditions(model, split, 4)
    classes = requested[::4]
    assert requested == [k for k in classes for _ in range(4)]
    assert len(images) == 80
    assert len(set(classes)) == 20
    assert classes == sorted(classes)
    assert classes != list(range(20))
    assert labels == [names[k] for k in classes]
