"""Each defect that is planted in a log, in latents or in images is found, and no other."""

import shlex
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.core.schedules import constant, cosine
from latentia.diagnostics import (
    adversary,
    causes,
    codes,
    data,
    diagnose,
    diffusion,
    duration,
    latents,
    training,
)
from latentia.diagnostics.check import define_check
from latentia.diagnostics.run_context import RunContext
from latentia.latents.code_use import measure_code_use
from latentia.latents.encoding import LatentTable, encode_split
from latentia.runs.create import create_run
from latentia.training.checkpoint import write_tensors
from latentia.training.events import Finding
from latentia.training.log import ROLES
from latentia.training.plan import Options

pytestmark = pytest.mark.usefixtures("narrow")
DONE = {"step": 400, "complete": True}


def made(tmp_path, recipe="mnist_mlp_vae", **knobs):
    """A run that was never trained, and its plan."""
    data = "digits:300" if recipe == "vaegan" else "digits"  # all of them at 128x128 take seconds
    knobs = {"data": data, "epochs": 10, **knobs}
    return create_run(recipe, knobs, {}, Options(threads=1), tmp_path / "run")


def patient(tmp_path, recipe="mnist_mlp_vae", knobs=None, **parts):
    """parts: what its log, model, codes, ... are to be."""
    run, plan = made(tmp_path, recipe, **(knobs or {}))
    found = RunContext(run, plan.images)
    found.__dict__ |= {"state_metadata": DONE, "plan": plan, "model": plan.model.eval(), **parts}
    return found


def rows(norms=(), player="vae", weights=None, monitors=None):
    weights = weights or [{}] * len(norms)
    return [
        {
            "event": "logged",
            "step": 100 * (k + 1),
            "total": 100 * len(norms),
            "players": {player: played(norm, weight)},
            "monitors": monitors or {},
        }
        for k, (norm, weight) in enumerate(zip(norms, weights, strict=True))
    ]


def played(norm, weights):
    roles = {k: ROLES[k] for k in weights}
    row = {"gradient_norm": norm, "terms": weights, "weights": weights, "roles": roles}
    return {**row, "lr": 1e-3}


def scores(*values, name="nelbo"):
    """A row for each of the epochs of 400 steps."""
    steps = np.linspace(0, 400, len(values) + 1)[1:]
    return [
        {"step": step, "epoch": epoch, "values": {name: v}, "is_best": v == min(values)}
        for epoch, (step, v) in enumerate(zip(steps, values, strict=True), 1)
    ]


def find(kind, severity="WARNING", *commands):
    return Finding(0, kind, "measured.", severity, "It matters.", suggested_commands=commands)


def test_curves_are_those_of_the_metric_that_selects_the_weights(tmp_path):
    """The nelbo of photographs may rise while that of pixels and features falls."""
    both = [
        {**row, "values": {"nelbo": float(k), "joint": joint}}
        for k, (row, joint) in enumerate(zip(scores(3, 2, 1), (3.0, 2.0, 1.0), strict=True))
    ]
    one = patient(tmp_path, log_rows=[], validation_rows=both)
    one.run.metadata["closed_form"] = {}
    assert duration.training_did_not_help(one) is None
    for row, joint in zip(both, (1.0, 2.0, 3.0), strict=True):
        row["values"]["joint"] = joint
    found = duration.training_did_not_help(one)
    assert found is not None
    assert found.text.startswith("joint of the validation images is 1 by the closed form")


def test_a_cause_stands_first_as_severe_as_what_follows_from_it():
    """Few steps before all but errors; details of a model that learned nothing are left out."""
    few, unlearned = (
        find("few steps", "WARNING", "a"),
        find("images not learned", "ERROR", "a", "b"),
    )
    hole, small = find("hole in the prior", "NOTE"), find("too few images")
    first, second, third = causes.sort_findings([small, unlearned, few, hole])
    assert first == few._replace(severity="ERROR")
    assert (second.kind, second.suggested_commands) == ("images not learned", ("b",))
    assert second.consequence == "This may follow from few steps. It matters."
    assert third == small
    assert causes.sort_findings([small, few, hole]) == [few, small]
    assert causes.sort_findings([small._replace(severity="ERROR"), few])[0].kind == "too few images"
    assert causes.sort_findings([hole, unlearned]) == [unlearned]
    noise, grey = find("neighbouring pixels unrelated"), find("colours not learned", "ERROR")
    haste, ignored = find("unfinished training"), find("condition ignored", "ERROR", "a")
    first, second = causes.sort_findings([ignored, few])
    assert first == few._replace(severity="ERROR")
    assert (second.kind, second.suggested_commands) == ("condition ignored", ())
    kinds = [each.kind for each in causes.sort_findings([noise, grey, haste])]
    assert kinds == ["neighbouring pixels unrelated", "colours not learned", "unfinished training"]


@pytest.mark.parametrize("norm", [5.0, 0.5])
def test_clipping(tmp_path, norm):
    ill = patient(tmp_path, training_rows=rows([norm] * 10))
    ill.plan.optim["vae"] = SimpleNamespace(clip=1.0)
    found = training.constant_clipping(ill)
    assert (found is not None) == (norm > 1)
    if found:
        assert found.values["share"] == 1
        assert ill.complete


def test_after_a_kill_only_rows_of_steps_that_the_weights_have_taken_count(tmp_path):
    told = [*rows([1.0] * 4), {"event": "validated", "step": 300, "epoch": 3, "values": {}}]
    one = patient(tmp_path, log_rows=told, state_metadata={"step": 200, "complete": False})
    assert [row["step"] for row in one.training_rows] == [100, 200]
    assert one.validation_rows == []


def test_before_the_first_row_beta_is_the_knobs(tmp_path):
    assert latents.get_beta(patient(tmp_path, log_rows=[])) == 1.0
    assert latents.get_beta(patient(tmp_path / "b", log_rows=[], knobs={"beta": 3.0})) == 3.0


@pytest.mark.parametrize(
    ("epochs", "beta", "severity"), [(1, 1.0, "WARNING"), (1, 49.0, "ERROR"), (100, 1.0, "ERROR")]
)
def test_a_collapse_of_few_steps_is_a_warning_while_more_follow(tmp_path, epochs, beta, severity):
    """What is missing stands before it."""
    few = SimpleNamespace(mean=np.zeros((50, 20), np.float32))
    knobs, told = {"epochs": epochs, "beta": beta}, [{"values": {"nelbo": 9.0, "rate": 0.01}}]
    one = patient(tmp_path, knobs=knobs, log_rows=[], validation_rows=told, latent_table=few)
    found = latents.posterior_collapse(one)
    assert found is not None
    assert found.severity == "ERROR"
    one.early, one.__dict__["training_rows"] = True, rows([1.0] * 20)
    found = latents.posterior_collapse(one)
    assert found is not None
    assert found.severity == severity
    kinds = [each.kind for each in diagnose.CHECKS]
    assert kinds.index("few steps") < kinds.index("posterior collapse")


@pytest.mark.parametrize(
    ("norms", "clip", "ill"),
    [
        ([1.0] * 20 + [20.0] * 20, None, True),
        ([1.0] * 35 + [300.0] + [1.0] * 4, None, True),
        ([1.0] * 20 + [5.0] * 20, None, False),
        ([1.0] * 20 + [20.0] * 20, 2.0, False),  # the clip holds it
        ([1.0] * 10 + [0.0] * 30, None, False),  # it stands still
    ],
)
def test_exploding_gradients(tmp_path, norms, clip, ill):
    one = patient(tmp_path, training_rows=rows(norms))
    one.plan.optim["vae"] = SimpleNamespace(clip=clip)
    assert (training.exploding_gradients(one) is not None) == ill


@pytest.mark.parametrize(("last", "ill"), [(0.5, True), (1.0, False)])
def test_a_warm_up_that_was_not_finished(tmp_path, last, ill):
    one = patient(tmp_path, training_rows=rows([1.0] * 2, weights=[{"rate": 0.1}, {"rate": last}]))
    found = training.unfinished_kl_warmup(one)
    assert (found is not None) == ill
    if found:
        assert "--kl-schedule linear" in found.suggested_commands[0]


@pytest.mark.parametrize(
    ("look", "values"),
    [
        (duration.unfinished_training, (200, 180, 160, 140, 120, 100)),
        (duration.overfitting, (200, 120, 100, 110, 120, 130)),
        (None, (200, 120, 105, 101, 100.5, 100)),
    ],
)
def test_training_that_ended_too_soon_or_too_late(tmp_path, look, values):
    one = patient(
        tmp_path, validation_rows=scores(*map(float, values)), training_rows=rows([1.0] * 4)
    )
    for each in (duration.unfinished_training, duration.overfitting):
        assert (each(one) is not None) == (each is look)
    if look == duration.overfitting:
        assert "and has risen by 30 since" in look(one).text
        one.__dict__["validation_rows"] = scores(*(58 * value for value in values))
        assert "and has risen by 1,740 since" in look(one).text


# curves of perceptrons under a cosine schedule: 8 epochs of 12,000 images of MNIST, where twice the
# epochs gave 16 nats; and every 8th of 128 epochs of digits, where half of them gave 1.2 less
EARLY = {
    "nelbo": (208.5, 172.9, 156.3, 148.1, 142.9, 140.3, 139.4, 139.3),
    "mse": (0.0636, 0.0457, 0.0379, 0.0339, 0.0313, 0.03, 0.0296, 0.0295),
}
LATE = {
    "nelbo": (
        167.6,
        99.2,
        94.5,
        93.2,
        92.3,
        92,
        91.5,
        91.4,
        91.3,
        91.2,
        91,
        90.9,
        90.9,
        90.8,
        90.8,
    ),
    "mse": (0.14, 0.0264, 0.0185, 0.0168, 0.0146, 0.014, 0.0144, 0.0136, *[0.013] * 7),
}


@pytest.mark.parametrize(
    ("curves", "schedule", "is_unfinished"),
    [
        (EARLY, cosine(warmup=0.05), True),
        (EARLY, constant(1.0), False),  # flat, though the rate was not
        (LATE, cosine(warmup=0.05), False),
    ],
)
def test_a_flat_end_is_no_end(tmp_path, curves, schedule, is_unfinished):
    """The end of a cosine schedule flattens every curve, whatever is left to learn."""
    validated = scores(*curves["nelbo"])
    for row, error in zip(validated, curves["mse"], strict=True):
        row["values"] |= {"mse": error, "rate": 9.0}
    log = rows([1.0] * 40)
    for row in log:
        row["step"], row["total"] = row["step"] // 10, 400
        row["players"]["vae"]["lr"] = 1e-3 * schedule(row["step"] / 400)
    context = patient(tmp_path, validation_rows=validated, training_rows=log)
    finding = duration.unfinished_training(context)
    assert (finding is not None) == is_unfinished
    if finding:
        assert "in the second half of all learning (after step 110" in finding.text
        assert "--epochs 38" in finding.suggested_commands[0]
    validated[-1]["values"]["rate"] = 0.01  # a collapse is no haste
    assert duration.unfinished_training(context) is None


@pytest.mark.parametrize(("end", "ill"), [(0.001, True), (0.3, False)])
def test_a_generator_that_stands_still(tmp_path, end, ill):
    norms = [1.0] * 10 + [end] * 10
    one = patient(tmp_path, "mnist_gan", training_rows=rows(norms, "generator"))
    assert (adversary.vanishing_generator_gradient(one) is not None) == ill


@pytest.mark.parametrize(
    ("right", "ill"), [((0.4, 0.6), True), ((0.3, 0.4), True), ((0.49, 0.6), False)]
)
def test_a_duel_that_goes_round(tmp_path, right, ill):
    log = rows([1.0] * 16, "generator", [{"real": 1.0, "fake": 1.0}] * 16)
    for k, row in enumerate(log):
        share = right[k % 2]
        row["monitors"] = {"critic loss": 1.38, "accuracy real": share, "accuracy fake": share}
    one = patient(tmp_path, "mnist_gan", training_rows=log)
    assert (adversary.oscillation(one) is not None) == ill


@pytest.mark.parametrize(("adversarial", "ill"), [(0.01, True), (0.5, False)])
def test_a_cosmetic_adversary(tmp_path, adversarial, ill):
    told = {"gradient of distortion": 1.0, "gradient of adversarial": adversarial}
    log = rows([1.0] * 4, weights=[{"adversarial": 1.0}] * 4, monitors=told)
    one = patient(tmp_path, "vaegan", {"adversarial_weight": "published"}, training_rows=log)
    found = adversary.negligible_adversary(one)
    assert (found is not None) == ill
    if found:
        assert "--adversarial-weight 1" in found.suggested_commands[0]


def test_an_adversary_that_never_joined(tmp_path):
    one = patient(tmp_path, "vaegan", training_rows=rows([1.0] * 4))
    found = adversary.negligible_adversary(one)
    assert found is not None
    assert "--adversary-from 0.5" in found.suggested_commands[0]


def test_no_adversary_is_told_to_join_later(tmp_path):
    one = patient(tmp_path, "vaegan", {"adversary_from": 0.1}, training_rows=rows([1.0] * 4))
    found = adversary.negligible_adversary(one)
    assert found is not None
    assert not found.suggested_commands


@pytest.mark.parametrize(
    ("sigma", "hundreds", "ill"), [(1.0, 4, True), (0.12, 4, False), (1.0, 1, False)]
)
def test_sigma_off_its_residual(tmp_path, sigma, hundreds, ill):
    """After a hundred steps a sigma that is learned may still be on its way."""
    log = rows([1.0] * hundreds, weights=[{"rate": 1.0}] * hundreds)
    table = SimpleNamespace(mean=np.zeros((60, 8)))  # none is used
    knobs = {"likelihood": "gaussian"}
    one = patient(
        tmp_path, "conv_vae", knobs, training_rows=log, latent_table=table, residual=(0.01, 0.09)
    )
    with torch.no_grad():
        one.model.likelihood.log_sigma.fill_(np.log(sigma))
    assert (latents.sigma_off_residual(one) is not None) == ill


class Autoencoder:
    latent_shape = (4,)
    encode = decode = distortion = score_latents = lambda *_: None


class Prior:
    """As much of a prior as its checks ask for; heeds: whether its error depends on the label."""

    num_classes, column, sampling = 10, "label", None
    latent_mean, latent_sd = torch.zeros(4), torch.ones(4)
    training = False

    def __init__(self, heeds=True):
        self.heeds, self.autoencoder = heeds, Autoencoder()

    def sample_trajectory(self, n, **_):
        raise NotImplementedError

    def modules(self):
        return iter(())

    def sample_denoising_error(self, batch, moment):
        rise = batch.columns["label"] != self.true if self.heeds else 0.0
        noise = torch.linspace(0, 1, len(batch.image))
        return noise, noise + (rise * 1.0)


@pytest.mark.parametrize(("alive", "ill"), [(0, False), (5, True), (6, False), (8, False)])
def test_dimensions_that_are_not_used(tmp_path, alive, ill):
    """Of eight; none at all is a collapse."""
    mean = np.random.default_rng(0).normal(size=(60, 8)) * (np.arange(8) < alive)
    log = rows([1.0] * 4, weights=[{"rate": 1.0}] * 4)
    parts = {
        "training_rows": log,
        "latent_table": SimpleNamespace(mean=mean),
        "validation_rows": scores(9.0, name="rate"),
    }
    one = patient(tmp_path, knobs={"latent": 8}, **parts)
    found = latents.unused_dimensions(one)
    assert (found is not None) == ill
    if found:
        assert "--latent 5" in found.suggested_commands[0]
        maps = patient(tmp_path / "maps", "image_hvae", {"width": 4}, **parts)
        found = latents.unused_dimensions(maps)  # --latent is that of the top level alone
        assert found is not None
        assert found.suggested_commands == ()


def test_a_level_that_carries_nothing_is_named_and_left_out(tmp_path):
    one = patient(tmp_path, "mnist_hvae", {"hidden": 8, "latent": 8, "levels": 4, "epochs": 50})
    levels, x = one.model.decoder.levels, one.images.split("train")
    for level in levels:  # posteriors that differ from their priors by some nats
        level.posterior[-1].bias.data[:2] += 2.0
    healthy = encode_split(one.model, x, limit=50)
    one.latent_table = healthy
    assert latents.dead_levels(one) is None
    dead = levels[2].posterior[-1]
    torch.nn.init.zeros_(dead.weight)
    torch.nn.init.zeros_(dead.bias)
    one.latent_table = encode_split(one.model, x, limit=50)
    found = latents.dead_levels(one)
    assert found
    assert "1 of 4 levels carry no information (numbers from the top: 3;" in found.text
    assert "--levels 3" in found.suggested_commands[0]
    one.latent_table = healthy._replace(kl=0 * healthy.kl)  # all dead: posterior collapse
    assert latents.dead_levels(one) is None


def test_codes_that_no_image_has_are_found_and_few_positions_are_no_evidence(tmp_path):
    knobs = {"width": 4, "quantizer": "fsq", "size": 32, "epochs": 50}
    one = patient(tmp_path, "image_autoencoder", knobs)
    tokens = torch.randint(1000, (200, 4, 4), generator=torch.Generator().manual_seed(0))

    def look(tokens):
        mean = one.model.prior.codes.from_tokens(tokens).flatten(1).numpy()
        one.latent_table = LatentTable(mean, None, None)
        return codes.dead_codes(one), measure_code_use(one.model, one.latent_table)

    found, use = look(tokens)
    assert found is None
    assert use.used == len(tokens.unique())
    assert use.used == pytest.approx(use.expected, rel=0.05)
    assert use.perplexity == pytest.approx(1000, rel=0.2)
    found, use = look(tokens % 100)
    assert "at 3,200 positions of held-out images 100 of 1,000 codes are in use" in found.text
    assert use.perplexity == pytest.approx(100, rel=0.1)
    assert "--epochs" in found.suggested_commands[0]
    assert look(tokens[:2])[0] is None  # 32 positions have at most 32 codes
    one.model.posterior = torch.nn.Identity()
    assert codes.dead_codes(one) is None


def drawings(few):
    """Draws of the posteriors, and samples of the prior: as varied, or too `few` pictures."""
    make = torch.Generator().manual_seed(0)
    draws, samples = torch.rand(2, 120, 1, 8, 8, generator=make)
    return {"posterior_draws": draws, "samples": samples[torch.arange(120) % few]}


@pytest.mark.parametrize(("few", "beta", "look"), [(3, 1.0, "hole"), (3, 0.5, "low"), (120, 1, "")])
def test_a_prior_that_does_not_know_where_the_latents_lie(tmp_path, monkeypatch, few, beta, look):
    log = rows([1.0] * 4, weights=[{"rate": beta}] * 4)
    told = scores(9.0, name="rate")
    table = SimpleNamespace(aggregate_sd=np.ones(20))
    one = patient(
        tmp_path, training_rows=log, validation_rows=told, latent_table=table, **drawings(few)
    )
    found = {"hole": latents.hole_in_prior(one), "low": latents.beta_too_low(one)}
    assert {kind for kind, each in found.items() if each} == ({look} if look else set())
    if look == "hole":
        assert "latent_prior --autoencoder" in found["hole"].suggested_commands[0]
        prior = SimpleNamespace(path=tmp_path / "run-prior")
        monkeypatch.setattr(latents, "find_learned_prior", lambda run: prior)
        mended = latents.hole_in_prior(one)
        assert mended.consequence.endswith(
            f"Draw images with {prior.path}, the learned prior of these latents."
        )
        (command,) = mended.suggested_commands
        assert command.startswith(f"latentia sample {prior.path} -n 64 --out ")


@pytest.mark.parametrize(
    ("few", "knobs", "mends"),
    [(3, {"guidance": 30.0}, "--guidance 1"), (3, {"lr": 0.1}, "--lr 0.001"), (120, {}, "")],
)
def test_a_learned_prior_off_its_latents(tmp_path, few, knobs, mends):
    one = patient(tmp_path, model=Prior(), training_rows=rows([1.0] * 10), **drawings(few))
    one.run.metadata["recipe"] = "latent_prior"
    one.run.metadata["arguments"] = {"data": "digits", "lr": 1e-3, "epochs": 30, **knobs}
    found = diffusion.prior_off_latents(one)
    assert (found is not None) == bool(mends)
    if found:
        assert mends in found.suggested_commands[0]


@pytest.mark.parametrize("heeds", [True, False])
def test_a_condition_that_is_ignored(tmp_path, heeds, monkeypatch):
    prior = Prior(heeds)
    one = patient(tmp_path, model=prior)
    monkeypatch.setattr(diffusion, "evaluation_mode", nullcontext)
    split = one.held_out
    prior.true = split.get_batch(torch.arange(len(split))).columns["label"]
    assert (diffusion.condition_ignored(one) is None) == heeds


@pytest.mark.parametrize(("spread", "shift", "ill"), [(2.0, 0, 1), (1.0, 0.9, 1), (1.1, 0.1, 0)])
def test_latents_out_of_scale(tmp_path, spread, shift, ill):
    table = SimpleNamespace(mean=np.full((60, 4), shift), aggregate_sd=np.full(4, spread))
    one = patient(tmp_path, model=Prior(), latent_table=table)
    assert (diffusion.latents_out_of_scale(one) is not None) == bool(ill)


@pytest.mark.parametrize(("step", "ill"), [(5, True), (100_000, False)])
def test_a_prior_of_an_unfinished_autoencoder(tmp_path, step, ill):
    run, _ = made(tmp_path / "parent")
    write_tensors(run.weights, {"w": torch.zeros(1)}, {"step": step})
    one = patient(tmp_path, parent=run)
    one.run.metadata["arguments"]["autoencoder"] = str(run.path)
    found = diffusion.unfinished_autoencoder(one)
    assert (found is not None) == ill
    if found:
        assert found.suggested_commands[0] == f"latentia resume {run.path}"


def planted(tmp_path, change, recipe="mnist_mlp_vae"):
    """200 images of one look, half of them in each class; change: what is done to arrays."""
    draw = np.random.default_rng(0)
    base = np.zeros((16, 16))
    base[4:12, 4:12] = 200
    pictures = np.clip(base + draw.normal(0, 20, (260, 16, 16)), 0, 255).astype(np.uint8)
    labels = np.arange(260) % 4
    arrays = {"x_train": pictures[:200], "x_val": pictures[200:230], "x_test": pictures[230:]}
    arrays |= {"y_train": labels[:200], "y_val": labels[200:230], "y_test": labels[230:]}
    change(arrays)
    np.savez(tmp_path / "a.npz", **arrays)
    return patient(tmp_path, recipe, knobs={"data": str(tmp_path / "a.npz")})


def repeat(a):
    a["x_train"][20:40] = a["x_train"][:20]


def share(a):
    a["x_val"][:3] = a["x_train"][:3]


def blank(a):
    a["x_train"][:10] = 255


def invert(a):
    a["x_train"][:10] = 255 - a["x_train"][:10]


def shuffle(a):
    order = np.random.default_rng(1).permutation(256)
    for key in ("x_train", "x_val", "x_test"):
        a[key] = a[key].reshape(-1, 256)[:, order].reshape(-1, 16, 16)


def draw_blobs(a):
    """Squares at random places, so that a pixel depends on its neighbours."""
    draw = np.random.default_rng(2)
    for image in a["x_train"]:
        top, left = draw.integers(0, 10, 2)
        image[:] = 0
        image[top : top + 6, left : left + 6] = 200


def test_few_steps_of_a_closed_form_are_those_of_its_images(tmp_path):
    one = patient(tmp_path, total_steps=87)
    near_start = duration.few_steps(one)
    assert "still near its random start, and its images and coordinates" in near_start.consequence
    one.run.metadata["closed_form"] = {}
    assert not one.is_short  # its coordinates are checked
    started = duration.few_steps(one)
    assert (started.severity, started.values["steps"]) == ("WARNING", 87)
    text = "its coordinates carry as much as these. Its images"  # also if that is little
    assert text in started.consequence
    one.__dict__["total_steps"] = 300
    assert duration.few_steps(one) is None


@pytest.mark.parametrize(("distance", "is_found"), [(0.0, False), (50.0, True)])
def test_few_steps_of_a_prior_whose_samples_are_good_were_enough(tmp_path, distance, is_found):
    images = torch.rand(80, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    one = patient(tmp_path, total_steps=440)
    one.run.metadata["parameters"] = {"denoiser": 1}
    one.__dict__ |= {"posterior_draws": images, "samples": images.flip(0) + distance}
    found = duration.few_steps(one)
    assert (found is not None) == is_found
    assert found is None or "its images say little" in found.consequence
    one.early = True  # nothing is drawn yet
    assert duration.few_steps(one) is None
    one.__dict__["total_steps"] = 29
    assert duration.few_steps(one) is not None


@pytest.mark.parametrize(
    ("changes", "is_unrelated"), [((draw_blobs,), False), ((draw_blobs, shuffle), True)]
)
def test_pixels_in_a_wrong_order_are_named(tmp_path, changes, is_unrelated):
    one = planted(tmp_path, lambda arrays: [each(arrays) for each in changes], "conv_vae")
    found = data.unrelated_pixels(one)
    assert (found is not None) == is_unrelated
    if found:
        assert found.values["ratio"] > 0.9
        assert "two pixels drawn at random" in found.text


@pytest.mark.parametrize(("distance", "is_unlearned"), [(50.0, True), (0.0, False)])
def test_samples_of_few_steps_that_are_no_images(tmp_path, distance, is_unlearned):
    """A generator has no reconstructions, and no log row before its monitors begin."""
    images = torch.rand(80, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    one = patient(tmp_path, "mnist_gan", {"epochs": 1}, training_rows=rows([1.0], "generator"))
    one.__dict__ |= {"posterior_draws": images, "samples": images.flip(0) + distance}
    found = duration.images_not_learned(one)
    assert (found is not None) == is_unlearned
    if found:
        assert found.severity == "ERROR"
        assert "0% of the images lie among the samples" in found.text


@pytest.mark.parametrize(
    ("change", "look"),
    [
        (repeat, data.duplicate_images),
        (share, data.images_in_two_splits),
        (blank, data.constant_images),
        (invert, data.inverted_images),
        (lambda a: None, None),
    ],
)
def test_ill_images(tmp_path, change, look):
    one = planted(tmp_path, change)
    for each in (
        data.images_in_two_splits,
        data.duplicate_images,
        data.constant_images,
        data.inverted_images,
    ):
        found = each(one)
        assert (found is not None) == (each is look), each.kind
        if found:
            assert found.severity == "WARNING"
            (command,) = found.suggested_commands
            assert shlex.split(command)[:2] == ["latentia", "doctor"]
            assert "--table" in command
            assert f"Look{each.advice.removeprefix('look')}." in found.consequence
            listed = [image.key for image in one.listed_images]
            assert len(listed) == found.values["count"]
            assert {image.finding for image in one.listed_images} == {look.kind}


@pytest.mark.parametrize(("most", "ill"), [(60, True), (20, False)])
def test_a_class_that_dominates(tmp_path, most, ill):
    draw = np.random.default_rng(0)
    for name, n in {"cats": most, "dogs": 20, "owls": 20}.items():
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for k in range(n):
            pixels = draw.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{k}.png")
    found = data.dominant_class(patient(tmp_path, knobs={"data": str(tmp_path / "pictures")}))
    assert (found is not None) == ill
    if found:
        assert "of class cats" in found.text


def test_a_check_that_fails_costs_nothing_but_its_own_word(tmp_path, monkeypatch):
    def broken(patient):
        raise TypeError("of all things")

    def asked(patient):
        raise KeyboardInterrupt

    bad = define_check("bad", threshold="")(broken)
    monkeypatch.setattr(diagnose, "CHECKS", (bad, duration.few_steps))
    one = patient(tmp_path, training_rows=rows([1.0]))
    checked = diagnose.run_checks(one)
    found, unseen = checked.findings, checked.describe_unchecked()
    assert [each.kind for each in found] == ["few steps"]
    assert "bad. The check failed (TypeError: of all things)." in unseen[0]
    stop = define_check("stop", threshold="")(asked)
    monkeypatch.setattr(diagnose, "CHECKS", (stop,))
    with pytest.raises(KeyboardInterrupt):
        diagnose.run_checks(one)


def test_large_images_are_looked_at_in_smaller_numbers(tmp_path):
    one = patient(tmp_path)
    for shape, most in (([1, 28, 28], 2000), ([1, 64, 64], 512), ([3, 512, 512], 200)):
        one.run.metadata["images"]["shape"] = shape
        assert one.max_images == most


def test_a_prior_asked_by_images_is_judged_by_samples_of_the_held_out_ones(tmp_path):
    class Asked(Prior):
        num_classes, column, condition = 0, "label", object()

        def sample(self, n, *, seed=0, cond=None):
            self.cond = cond
            return torch.zeros(n, 1, 8, 8)

    one = patient(tmp_path, model=Asked())
    assert len(one.samples) == len(one.model.cond)
    assert torch.equal(one.model.cond, one.held_out.get_batch(slice(None)).columns["label"])


def test_cures_of_a_vae_gans_duel_change_what_its_critic_is(tmp_path):
    """The published critic knows no penalty; an older run no knob of it; and one that never saw a
    sample cannot mend samples.
    """
    won = rows([1.0] * 4, weights=[{"pair": 1.0}] * 4, monitors={"critic loss": 1e-3})
    published = patient(
        tmp_path / "a", "vaegan", {"adversarial_weight": "published"}, training_rows=won
    )
    assert "--adversarial-weight 1" in adversary.restore_balance(published)[0]
    usual = patient(tmp_path / "b", "vaegan", training_rows=won)
    assert "--gamma 0.009" in adversary.restore_balance(usual)[0]
    del usual.parameters["gamma"]
    assert "--lr" in adversary.restore_balance(usual)[0]
    assert "--reconstructions 0.5" in adversary.halve_reconstructions(usual)[0]
