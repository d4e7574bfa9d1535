"""The loop: order, freezing, non-finite steps, evaluation that touches nothing."""

import json

import numpy as np
import pytest
import torch

import latentia
from latentia.api.training import start_run
from latentia.core.contract import Batch, Model, Player, Role, StepContext, Term
from latentia.data import open_images
from latentia.diagnostics.diagnose import diagnose_run
from latentia.report.page import write_report
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_tensors
from latentia.training.ema import EMA, swap_weights
from latentia.training.events import (
    Finding,
    StateSaved,
    StepLogged,
    TrainingFinished,
    ValidationFinished,
)
from latentia.training.log import read_rows
from latentia.training.loop import train
from latentia.training.optimizers import Adam
from latentia.training.plan import Options, Plan
from latentia.training.step import freeze_others
from latentia.training.validation import score_split

SUMS = 1e-5  # relative, of sums of some 100 numbers in another order; float32 rounds by 6e-8


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
            return {
                "product": Term(1.0, both, Role.PENALTY),
                "unused": Term(0.0, both * 0, Role.PENALTY),
            }

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
    return RunFolder(tmp_path / "r", {})


def plan_of(model, images, **optim):
    return Plan(model, open_images(images), optim, batch=8, epochs=1)


def test_players_descend_in_order_each_at_the_parameters_of_its_turn(tmp_path, images):
    torch.manual_seed(0)
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
    batch, moment = Batch(torch.rand(2, 1, 2, 2), {}), StepContext(0, 1, 0, 2, 0, 2)
    with freeze_others(player, model):
        assert not model.second.weight.requires_grad
        player.terms(batch, moment, None)["product"][1].mean().backward()
    assert model.second.weight.grad is None
    assert model.first.weight.grad is not None
    assert model.second.weight.requires_grad


def test_events_come_in_order_and_the_log_holds_them(toy, array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 2}
    run, events = start_run(
        "mnist_mlp_vae", knobs, options=Options(log_every=2), run=tmp_path / "r"
    )
    seen = list(events)
    assert isinstance(seen[-1], TrainingFinished)
    assert [type(e) for e in seen[:2]] == [StepLogged, ValidationFinished]
    logged = [e for e in seen if isinstance(e, StepLogged)]
    assert logged[-1].step == logged[-1].total == 6
    rows = read_rows(run.path / "log.jsonl")
    told = [row for row in rows if row["event"] != "finding"]
    assert len(told) == len([e for e in seen if isinstance(e, StepLogged | ValidationFinished)])
    terms = rows[0]["players"]["vae"]["terms"]
    assert set(terms) == {"distortion", "rate"}
    assert rows[0]["players"]["vae"]["weights"] == {"distortion": 1.0, "rate": 1.0}
    validated = [row for row in rows if row["event"] == "validated"]
    best = min(row["values"]["nelbo"] for row in validated)
    assert [row["values"]["nelbo"] for row in validated if row["is_best"]][-1] == best


def test_a_logged_row_is_the_mean_since_the_last(toy):
    """With a row a step, the mean of two rows is the row of two steps."""
    each = toy("each", options=Options(log_every=1), epochs=1)
    both = toy("both", options=Options(log_every=2), epochs=1)

    def rates(run):
        rows = read_rows(run.path / "log.jsonl")
        return [r["players"]["vae"]["terms"]["rate"] for r in rows if r["event"] == "logged"]

    assert np.mean(rates(each)[:2]) == pytest.approx(rates(both)[0], rel=SUMS)


def test_weights_are_those_of_the_best_validation_not_the_last(toy):
    """A learning rate that ruins the later epochs: the early weights are kept."""
    run = toy("a", lr=0.3, epochs=8)
    rows = read_rows(run.path / "log.jsonl")
    values = [row["values"]["nelbo"] for row in rows if row["event"] == "validated"]
    model, split = run.model(), run.images().split("validation")
    assert score_split(model, split, seed=0)["nelbo"] == pytest.approx(min(values), rel=SUMS)


def test_validation_is_at_beta_one_whatever_the_objective(toy):
    one, many = toy("one", epochs=1, lr=1e-9), toy("many", epochs=1, lr=1e-9, beta=49.0)

    def value(run):
        rows = read_rows(run.path / "log.jsonl")
        return next(r["values"]["nelbo"] for r in rows if r["event"] == "validated")

    assert value(one) == pytest.approx(value(many), rel=SUMS)


def test_score_averages_over_images_not_over_batches(toy):
    run = toy("a")
    model, split = run.model(), run.images().split("train")
    encoded = model.encode(split.get_batch(slice(0, len(split))).image)  # pyright: ignore
    for size in (7, len(split)):
        found = score_split(model, split, seed=0, batch_size=size)["rate"]
        assert found == pytest.approx(encoded.kl().mean().item(), rel=SUMS)


@pytest.mark.report
def test_reports_and_evaluation_leave_the_run_and_the_generators_as_they_were(toy):
    """Figures call eval() and stay there, or draw from the global generator.

    Pitfall: Evaluation in the wrong mode.
    """
    run = toy("a")
    plan = run.plan()
    plan.model.train()
    torch.manual_seed(5)  # not the address that loading a run seeds
    before = {k: v.clone() for k, v in plan.model.state_dict().items()}
    files = {p: p.read_bytes() for p in run.path.rglob("*.*") if p.is_file()}
    state = torch.get_rng_state()
    write_report(run, plan.images, diagnose_run(run, plan.images))
    score_split(plan.model, plan.images.split("test"), seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert plan.model.training
    for key, value in plan.model.state_dict().items():
        assert torch.equal(value, before[key])
    after = {p: p.read_bytes() for p in run.path.rglob("*.*") if p.is_file()}
    assert after == files  # evaluation.json and report.html too: they are functions of the run


def test_a_non_finite_step_is_not_taken_is_named_and_halves_the_rate(array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 3, "lr": 1e18}
    run, events = start_run(
        "mnist_mlp_vae", knobs, options=Options(log_every=1), run=tmp_path / "r"
    )
    seen = list(events)
    findings = [e for e in seen if isinstance(e, Finding) and e.kind == "non-finite"]
    assert [e.kind for e in findings] == ["non-finite"] * 3
    assert "is not finite in" in findings[0].text or "gradient of" in findings[0].text
    assert "learning rate times 0.5" in findings[0].text
    assert "Lower --lr" in findings[-1].text
    assert isinstance(seen[-1], TrainingFinished)
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
            bad = terms["rate"].value.clone()
            bad[3] = float("nan")
            return {**terms, "rate": terms["rate"]._replace(value=bad)}
        return terms

    monkeypatch.setattr(VAE, "terms", poisoned)
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 2}
    options = Options(log_every=1, save_every=1)
    _, events = start_run("mnist_mlp_vae", knobs, options=options, run=tmp_path / "r")
    seen = list(events)
    (finding,) = [e for e in seen if isinstance(e, Finding) and e.kind == "non-finite"]
    assert "rate is not finite in 1 of 16 images (rows 3)" in finding.text
    assert "back to step 2" in finding.text
    assert isinstance(seen[-1], TrainingFinished)
    assert seen[-1].reason == "complete"
    rows = read_rows(tmp_path / "r" / "log.jsonl")
    rates = {r["step"]: r["players"]["vae"]["lr"] for r in rows if r["event"] == "logged"}
    assert rates[2] == 2 * rates[3]


def test_the_module_that_overflowed_first_is_named(array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 1}
    run, plan = create_run("mnist_mlp_vae", knobs, {}, Options(), tmp_path / "r")
    layer = plan.model.decoder.layers[0]
    layer.register_forward_hook(lambda module, given, output: output * float("inf"))
    findings = [
        e
        for e in train(plan, run, run.options)
        if isinstance(e, Finding) and e.kind == "non-finite"
    ]
    assert "first in decoder.layers.0" in findings[0].text


def test_averaged_weights_are_a_mean_and_give_way_again():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = EMA(model, halflife=1e9)
    history = [{k: v.clone() for k, v in model.state_dict().items()}]
    for step in range(5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        averaged.update(model, step, batch_size=10)
        history.append({k: v.clone() for k, v in model.state_dict().items()})
    weight = averaged.tensors["0.weight"]
    assert (weight > history[0]["0.weight"]).all()
    assert (weight < history[-1]["0.weight"]).all()
    with swap_weights(model, averaged.tensors):
        assert torch.equal(model.state_dict()["0.weight"], weight)
    assert torch.equal(model.state_dict()["0.weight"], history[-1]["0.weight"])


def test_a_run_without_validation_keeps_the_last_weights(toy):
    run = toy("a", options=Options(validation=0.0, log_every=2), epochs=1)
    assert run.metadata["images"]["count"]["validation"] == 0
    assert run.model().sample(2, seed=0).shape == (2, 1, 28, 28)


def test_nothing_is_trained_on_the_test_split(toy, monkeypatch):
    from latentia.data import Images

    asked = []
    honest = Images.split
    monkeypatch.setattr(Images, "split", lambda s, n: (asked.append(n), honest(s, n))[1])
    toy("a", stop=5)
    assert "test" not in asked[asked.index("train") :] or asked.count("test") <= 1


@pytest.mark.report
def test_one_image_is_followed_through_training(array_file, tmp_path):
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 3}
    run = latentia.train("mnist_mlp_vae", run=tmp_path / "r", options=Options(track="2"), **knobs)
    frames = sorted((tmp_path / "r" / "progress").glob("tracked-*.png"))
    assert [f.stem for f in frames] == ["tracked-0001", "tracked-0002", "tracked-0003"]
    assert len({f.read_bytes() for f in frames}) == 3
    page = (tmp_path / "r" / "report.html").read_text()
    assert "data:image/gif;base64," in page
    assert "Samples through training" in page
    assert run.options.track == "2"
    with pytest.raises(latentia.Error, match="There is no image 99 in split validation; it has"):
        latentia.train("mnist_mlp_vae", run=tmp_path / "s", options=Options(track="99"), **knobs)


def test_what_is_found_early_is_said_and_written_once_a_kind_before_the_last_epoch(
    tmp_path, images
):
    plan = plan_of(Duel(), images, first=Adam(0.1), second=Adam(0.1))
    plan.epochs, run = 4, loose_run(tmp_path)
    options, asked = Options(log_every=1, precision="fp32"), []

    def look():
        asked.append(len(read_rows(run.path / "log.jsonl")))
        finding = Finding(0, "late", "Look now.", suggested_commands=("do",))
        return [finding] if len(asked) > 1 else []

    seen = list(train(plan, run, options, look))
    an_epoch = seen[-1].total // 4
    found = [(e.kind, e.step, e.suggested_commands) for e in seen if isinstance(e, Finding)]
    assert found == [("late", 2 * an_epoch, ("do",))]
    assert len(asked) == 3
    rows = [r for r in read_rows(run.path / "log.jsonl") if r["event"] == "finding"]
    saved = [(r["kind"], r["step"], r["suggested_commands"]) for r in rows]
    assert saved == [("late", 2 * an_epoch, [])]


def poisoned_at(monkeypatch, step):
    """Once, at this step, row 3 of the rate is NaN; asked for the reason it is so again."""
    from latentia.models.vae import VAE

    honest, calls = VAE.terms, []

    def poisoned(self, batch, moment, shared=None):
        terms = honest(self, batch, moment, shared)
        calls.append(moment.step)
        if moment.step != step or calls.count(step) > 2:
            return terms
        bad = terms["rate"][1].clone()
        bad[3] = float("nan")
        return {**terms, "rate": terms["rate"]._replace(value=bad)}

    monkeypatch.setattr(VAE, "terms", poisoned)


def test_after_a_bad_step_everything_is_as_it_was_saved(array_file, tmp_path, monkeypatch):
    """Steps 4 and 5 were taken since the last save: they must be forgotten, not only step 6."""
    knobs = {"data": array_file, "hidden": 8, "batch": 8, "epochs": 2}
    options = Options(log_every=1, save_every=4)
    run, plan = create_run("mnist_mlp_vae", knobs, {}, options, tmp_path / "r")
    poisoned_at(monkeypatch, 6 - 1)
    saved, events = {}, train(plan, run, run.options)
    for event in events:
        if isinstance(event, StateSaved) and event.step == 4:
            saved = read_tensors(run.state)[0]
        if isinstance(event, Finding):
            break
    now = read_tensors(run.state)[0]
    assert event.step == 5
    assert saved.keys() == now.keys()
    assert all(torch.equal(saved[key], now[key]) for key in saved)
    for key, value in plan.model.state_dict().items():
        assert torch.equal(value, saved[f"model|{key}"])


def test_a_state_that_is_not_finite_is_never_saved(array_file, tmp_path):
    """The step that blows up the parameters shows it only at the next forward pass."""
    knobs = {"data": array_file, "hidden": 8, "batch": 16, "epochs": 1, "lr": 3e38}
    options = Options(log_every=1, save_every=1)
    run, events = start_run("mnist_mlp_vae", knobs, options=options, run=tmp_path / "r")
    findings = [e for e in events if isinstance(e, Finding) and e.kind == "non-finite"]
    assert len(findings) == 3
    for tensor in read_tensors(run.state)[0].values():
        assert tensor.isfinite().all()


def test_a_validation_that_is_not_finite_is_a_finding(array_file, tmp_path):
    """One step an epoch: the loss before it is finite, the validation after it is not."""
    knobs = {"data": array_file, "hidden": 8, "batch": 64, "epochs": 3, "lr": 1e18}
    _, events = start_run("mnist_mlp_vae", knobs, options=Options(log_every=1), run=tmp_path / "r")
    seen = list(events)
    assert isinstance(seen[-1], TrainingFinished)
    assert seen[-1].reason == "non-finite"
    first = next(e for e in seen if isinstance(e, Finding) and e.kind == "non-finite")
    assert "of the validation images is not finite" in first.text


def test_the_learning_rate_follows_its_schedule_and_its_first_step_counts(toy):
    run = toy("a", "conv_vae", options=Options(log_every=1))
    rows = [r for r in read_rows(run.path / "log.jsonl") if r["event"] == "logged"]
    total = rows[0]["total"]
    adam = run.plan().optim["vae"]
    wanted = [adam.lr * adam.schedule((k + 0.5) / total) for k in range(total)]
    assert [r["players"]["vae"]["lr"] for r in rows] == pytest.approx(wanted)
    assert min(wanted) > 0


def test_clipping_shortens_the_gradient_and_keeps_its_direction():
    from latentia.training.step import PlayerStep

    def moved(clip):
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 2)
        before = module.weight.detach().clone()

        def terms(batch, moment, shared):
            value = 100 * module(batch.image[:, 0, 0]).sum(1)
            return {"loss": Term(1.0, value, Role.PENALTY)}

        player = Player(module, terms)
        batch = Batch(torch.ones(4, 1, 1, 3), {})
        off = torch.autocast("cpu", torch.bfloat16, enabled=False)
        turn = PlayerStep("x", player, batch, StepContext(0, 1, 0, 4, 0, 4), None, off)
        sgd = torch.optim.SGD(module.parameters(), 1.0)
        _, _, norm = turn.optimizer_step(module, sgd, Adam(1.0, clip=clip))
        return module.weight.detach() - before, norm.item()

    free, norm = moved(None)
    short, same = moved(0.5)
    assert same == norm > 0.5
    torch.testing.assert_close(short, free * 0.5 / norm)


def test_bf16_reaches_the_layers_and_fp32_does_not(toy, monkeypatch):
    seen = []
    honest = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda *a: (seen.append(honest(*a).dtype), honest(*a))[1]
    )
    for precision in ("bf16", "fp32"):
        seen.clear()
        toy(precision, stop=1, options=Options(log_every=1, precision=precision), epochs=1)
        assert (torch.bfloat16 in seen) == (precision == "bf16")


def test_scores_are_taken_in_evaluation_mode(images):
    class Moody(Duel):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(1)

        def score(self, batch, moment):
            return {"nelbo": self.norm(batch.image).flatten(1).sum(1)}

    model = Moody().train()
    split = open_images(images).split("train")
    assert score_split(model, split, 0, batch_size=7)["nelbo"] == pytest.approx(
        score_split(model, split, 0, batch_size=50)["nelbo"], rel=1e-5
    )
    assert model.norm.training
    assert model.norm.num_batches_tracked == 0


def test_loading_and_making_a_run_leave_the_callers_generators_alone(toy):
    run = toy("a")
    drawn = []
    for work in (lambda: None, run.model, lambda: run.plan()):
        torch.manual_seed(7)
        work()
        drawn.append(torch.rand(3))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_a_plan_needs_an_optimizer_for_each_player(images):
    with pytest.raises(latentia.Error, match="has optimizers for first; the model's players are"):
        plan_of(Duel(), images, first=Adam(0.1))


def test_a_term_that_joins_late_is_logged_at_its_own_mean(toy):
    """Of the steps that had it, not of all since the last row."""

    def rows(name, log_every):
        options = latentia.Options(log_every=log_every)
        run = toy(name, "vaegan", options=options, adversary_from=0.5, adversary_every=1)
        return [r["players"] for r in read_rows(run.path / "log.jsonl") if r["event"] == "logged"]

    singly, [whole] = rows("singly", 1), rows("whole", 9)
    for player, term in (("critic", "pair"), ("vae", "adversarial"), ("vae", "rate")):
        told = [r[player]["terms"] for r in singly if player in r]
        values = [terms[term] for terms in told if term in terms]
        assert whole[player]["terms"][term] == pytest.approx(np.mean(values), rel=1e-5)


def test_who_acts_at_every_second_step_is_in_every_row(toy):
    """Rows are written after even steps; the adversary acts at the steps before them."""
    options = latentia.Options(log_every=2)
    run = toy("a", "vaegan", options=options, adversary_from=0.0, adversary_every=2)
    rows = [r["players"] for r in read_rows(run.path / "log.jsonl") if r["event"] == "logged"]
    assert len(rows) > 3
    for row in rows[1:]:  # its weight rises from 0
        assert list(row) == ["critic", "vae"]
        assert list(row["vae"]["terms"]) == ["distortion", "rate", "adversarial", "features"]
        assert row["vae"]["weights"].keys() == row["vae"]["terms"].keys()
