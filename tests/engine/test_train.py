"""The loop: order, freezing, non-finite steps, evaluation that touches nothing."""

import json

import numpy as np
import pytest
import torch

import latentia
from latentia.core.contract import Batch, Model, Moment, Player
from latentia.data import open_images
from latentia.engine.ema import Averaged, in_place_of
from latentia.engine.log import Finding, Finished, Logged, Validated, read_rows
from latentia.engine.optim import Adam
from latentia.engine.plan import Options, Plan
from latentia.engine.run import Run
from latentia.engine.step import only
from latentia.engine.train import score, train
from latentia.report.page import write_report
from latentia.session import start


class Duel(Model):
    """Two players that see each other's weight; `turns` keeps what each saw."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        self.turns: list[tuple[str, float, float]] = []

    def terms(self, name, own, other):
        def of(batch, moment, shared):
            self.turns.append((name, self.first.weight.item(), self.second.weight.item()))
            both = own.weight.sum() * other.weight.sum() * batch.image.mean((1, 2, 3))
            return {"product": (1.0, both), "unused": (0.0, both * 0)}

        return of

    def players(self):
        return {
            "first": Player(self.first, self.terms("first", self.first, self.second)),
            "second": Player(self.second, self.terms("second", self.second, self.first)),
        }

    def sample(self, n, *, seed, cond=None):
        return torch.zeros(n, 1, 2, 2)


def loose_run(tmp_path):
    """A run folder without a recipe."""
    (tmp_path / "r").mkdir()
    return Run(tmp_path / "r", {})


def plan_of(model, images, **optim):
    return Plan(model, open_images(images), optim, batch=8, epochs=1)


def test_players_descend_in_order_each_at_the_parameters_of_its_turn(tmp_path, images):
    model = Duel()
    optim = {"first": Adam(0.1), "second": Adam(0.1)}
    options = Options(log_every=1, precision="fp32")
    list(train(plan_of(model, images, **optim), loose_run(tmp_path), options))
    names = [name for name, _, _ in model.turns]
    assert names[:4] == ["first", "second", "first", "second"]
    for (_, a1, b1), (_, a2, b2) in zip(model.turns[::2], model.turns[1::2], strict=True):
        assert b1 == b2
        assert abs(a1 - a2) > 0.01  # the second sees the first after its step


def test_no_gradient_strays_into_the_other_player():
    model = Duel()
    player = model.players()["first"]
    batch, moment = Batch(torch.rand(2, 1, 2, 2), {}), Moment(0, 1, 0, 2, 0, 2)
    with only(player, model):
        assert not model.second.weight.requires_grad
        player.terms(batch, moment, None)["product"][1].mean().backward()
    assert model.second.weight.grad is None
    assert model.first.weight.grad is not None
    assert model.second.weight.requires_grad


def test_events_come_in_order_and_the_log_holds_them(toy, array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 2}
    run, events = start("mnist_mlp_vae", knobs, options=Options(log_every=2), run=tmp_path / "r")
    seen = list(events)
    assert isinstance(seen[-1], Finished)
    assert [type(e) for e in seen[:2]] == [Logged, Validated]
    logged = [e for e in seen if isinstance(e, Logged)]
    assert logged[-1].step == logged[-1].total == 6
    rows = read_rows(run.path / "log.jsonl")
    assert len(rows) == len([e for e in seen if isinstance(e, Logged | Validated | Finding)])
    terms = rows[0]["players"]["vae"]["terms"]
    assert set(terms) == {"distortion", "rate"}
    assert rows[0]["players"]["vae"]["weights"] == {"distortion": 1.0, "rate": 1.0}
    validated = [row for row in rows if row["event"] == "validated"]
    best = min(row["values"]["nelbo"] for row in validated)
    assert [row["values"]["nelbo"] for row in validated if row["selected"]][-1] == best


def test_a_logged_row_is_the_mean_since_the_last(toy):
    """With a row a step, the mean of two rows is the row of two steps."""
    each = toy("each", options=Options(log_every=1), epochs=1)
    both = toy("both", options=Options(log_every=2), epochs=1)

    def rates(run):
        rows = read_rows(run.path / "log.jsonl")
        return [r["players"]["vae"]["terms"]["rate"] for r in rows if r["event"] == "logged"]

    assert np.mean(rates(each)[:2]) == pytest.approx(rates(both)[0], rel=1e-6)


def test_weights_are_those_of_the_best_validation_not_the_last(toy):
    """A learning rate that ruins the later epochs: the early weights are kept."""
    run = toy("a", lr=0.3, epochs=8)
    rows = read_rows(run.path / "log.jsonl")
    values = [row["values"]["nelbo"] for row in rows if row["event"] == "validated"]
    model, split = run.model(), run.images().split("validation")
    assert score(model, split, seed=0)["nelbo"] == pytest.approx(min(values), rel=1e-6)


def test_validation_is_at_beta_one_whatever_the_objective(toy):
    one, many = toy("one", epochs=1, lr=1e-9), toy("many", epochs=1, lr=1e-9, beta=49.0)

    def value(run):
        rows = read_rows(run.path / "log.jsonl")
        return next(r["values"]["nelbo"] for r in rows if r["event"] == "validated")

    assert value(one) == pytest.approx(value(many), rel=1e-5)


def test_score_averages_over_images_not_over_batches(toy):
    run = toy("a")
    model, split = run.model(), run.images().split("train")
    encoded = model.encode(split.batch(slice(0, len(split))).image)  # pyright: ignore
    for size in (7, len(split)):
        found = score(model, split, seed=0, size=size)["rate"]
        assert found == pytest.approx(encoded.kl().mean().item(), rel=1e-6)


def test_reports_and_evaluation_leave_the_run_and_the_generators_as_they_were(toy):
    """Figures that call eval() and stay there, or draw from the global generator (trap 10)."""
    run = toy("a")
    plan = run.plan()
    plan.model.train()
    before = {k: v.clone() for k, v in plan.model.state_dict().items()}
    files = {p: p.read_bytes() for p in run.path.rglob("*.*") if p.is_file()}
    state = torch.get_rng_state()
    write_report(run, plan.images)
    score(plan.model, plan.images.split("test"), seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert plan.model.training
    for key, value in plan.model.state_dict().items():
        assert torch.equal(value, before[key])
    after = {p: p.read_bytes() for p in run.path.rglob("*.*") if p.is_file()}
    assert after == files  # evaluation.json and report.html too: they are functions of the run


def test_a_non_finite_step_is_not_taken_is_named_and_halves_the_rate(array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 3, "lr": 1e18}
    run, events = start("mnist_mlp_vae", knobs, options=Options(log_every=1), run=tmp_path / "r")
    seen = list(events)
    findings = [e for e in seen if isinstance(e, Finding)]
    assert [e.kind for e in findings] == ["non-finite"] * 3
    assert "is not finite in" in findings[0].text or "gradient of" in findings[0].text
    assert "learning rate times 0.5" in findings[0].text
    assert "Lower --lr" in findings[-1].text
    assert isinstance(seen[-1], Finished)
    assert seen[-1].reason == "non-finite"
    assert all(torch.isfinite(v).all() for v in run.model().state_dict().values())
    rows = read_rows(run.path / "log.jsonl")
    assert json.dumps(rows, allow_nan=False)
    with pytest.raises(latentia.Error, match="not complete"):
        latentia.train("mnist_mlp_vae", run=tmp_path / "again", **knobs)


def test_one_bad_step_is_survived(array_file, tmp_path, monkeypatch):
    from latentia.models.vae import VAE

    honest, calls = VAE.terms, []

    def poisoned(self, batch, moment, shared=None):
        terms = honest(self, batch, moment, shared)
        calls.append(moment.step)
        if calls.count(2) in (1, 2) and moment.step == 2:  # the step, and its explanation
            weight, value = terms["rate"]
            bad = value.clone()
            bad[3] = float("nan")
            return {**terms, "rate": (weight, bad)}
        return terms

    monkeypatch.setattr(VAE, "terms", poisoned)
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 2}
    options = Options(log_every=1, save_every=1)
    _, events = start("mnist_mlp_vae", knobs, options=options, run=tmp_path / "r")
    seen = list(events)
    (finding,) = [e for e in seen if isinstance(e, Finding)]
    assert "rate is not finite in 1 of 16 images (rows 3)" in finding.text
    assert "back to step 2" in finding.text
    assert isinstance(seen[-1], Finished)
    assert seen[-1].reason == "complete"
    rows = read_rows(tmp_path / "r" / "log.jsonl")
    rates = {r["step"]: r["players"]["vae"]["lr"] for r in rows if r["event"] == "logged"}
    assert rates[2] == 2 * rates[3]


def test_the_module_that_overflowed_first_is_named(array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 1}
    run, events = start("mnist_mlp_vae", knobs, options=Options(log_every=1), run=tmp_path / "r")
    next(events)
    events.close()
    plan = run.plan()
    from safetensors.torch import load_file, save_file

    tensors = load_file(run.state)
    from latentia.engine.state import peek

    about = {"about": json.dumps(peek(run.state))}
    tensors["model|decoder.layers.0.bias"].fill_(float("inf"))
    save_file(tensors, run.state, about)
    findings = [e for e in train(plan, run, run.options) if isinstance(e, Finding)]
    assert "first in decoder.layers.0" in findings[0].text


def test_averaged_weights_are_a_mean_and_give_way_again():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = Averaged(model, halflife=1e9)
    history = [{k: v.clone() for k, v in model.state_dict().items()}]
    for step in range(5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        averaged.update(model, step, batch=10)
        history.append({k: v.clone() for k, v in model.state_dict().items()})
    weight = averaged.tensors["0.weight"]
    assert (weight > history[0]["0.weight"]).all()
    assert (weight < history[-1]["0.weight"]).all()
    with in_place_of(model, averaged.tensors):
        assert torch.equal(model.state_dict()["0.weight"], weight)
    assert torch.equal(model.state_dict()["0.weight"], history[-1]["0.weight"])


def test_a_run_without_validation_keeps_the_last_weights(toy):
    run = toy("a", options=Options(validation=0.0, log_every=2), epochs=1)
    assert run.about["images"]["count"]["validation"] == 0
    assert run.model().sample(2, seed=0).shape == (2, 1, 28, 28)


def test_nothing_is_trained_on_the_test_split(toy, monkeypatch):
    from latentia.data import Images

    asked = []
    honest = Images.split
    monkeypatch.setattr(Images, "split", lambda s, n: (asked.append(n), honest(s, n))[1])
    toy("a", stop=5)
    assert "test" not in asked[asked.index("train") :] or asked.count("test") <= 1


def test_one_image_is_followed_through_training(array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 3}
    model = latentia.train("mnist_mlp_vae", run=tmp_path / "r", options=Options(track="2"), **knobs)
    frames = sorted((tmp_path / "r" / "progress").glob("tracked-*.png"))
    assert [f.stem for f in frames] == ["tracked-0001", "tracked-0002", "tracked-0003"]
    assert len({f.read_bytes() for f in frames}) == 3
    page = (tmp_path / "r" / "report.html").read_text()
    assert "data:image/gif;base64," in page
    assert "Samples through training" in page
    assert model.run.options.track == "2"
    with pytest.raises(latentia.Error, match="There is no image 99 in validation; it has"):
        latentia.train("mnist_mlp_vae", run=tmp_path / "s", options=Options(track="99"), **knobs)


def test_an_alarm_is_said_when_it_comes_once_a_run_and_remarks_at_the_end(tmp_path, images):
    model = Duel()
    model.alarms = lambda: {"late": "Look now."} if len(model.turns) > 12 else {}
    model.remarks = lambda last: {"end": "Look back."}
    plan = plan_of(model, images, first=Adam(0.1), second=Adam(0.1))
    plan.epochs = 4
    run = loose_run(tmp_path)
    seen = list(train(plan, run, Options(log_every=1, precision="fp32")))
    findings = [(e.kind, e.step) for e in seen if isinstance(e, Finding)]
    an_epoch = seen[-1].total // 4
    assert findings == [("late", 2 * an_epoch), ("end", 4 * an_epoch)]
    rows = read_rows(run.path / "log.jsonl")
    assert [r["kind"] for r in rows if r["event"] == "finding"] == ["late", "end"]
