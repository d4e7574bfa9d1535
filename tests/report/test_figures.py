"""Curves: each panel holds what its title says."""

import pytest

from latentia.report.figures import draw_training_curves

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
    players = {k: {"terms": v, "weights": dict.fromkeys(v, 1.0)} for k, v in terms.items()}
    logged = [{"step": k, "images": 8 * k, "players": players} for k in (1, 2, 3)]
    validated = [{"step": 3, "values": {"nelbo": 99.0, "distortion": 90.0, "rate": 9.0}}]
    draw_training_curves(logged, validated, player)
    assert (("nelbo", LABEL) in drawn) == (player == "vae")
