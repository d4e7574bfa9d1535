"""Edits on toy runs: what they put in the log, how they combine, what they refuse."""

import numpy as np
import pytest
import torch

import latentia
from latentia.api.training import resume_run, start_run
from latentia.cli.main import main
from latentia.losses.likelihoods import Gaussian
from latentia.nets.column_condition import use_columns
from latentia.report.figures import TERM_LABELS
from latentia.report.page import write_report
from latentia.runs.folder import RunFolder
from latentia.training.log import read_rows
from training.test_resume import content

PARTS = ["mutual information", "total correlation", "dimension-wise KL"]
SMALL = {
    "mnist_mlp_vae": {"hidden": 8, "latent": 3},
    "vaegan": {"latent": 3, "size": "24x20", "adversary_from": 0.1},
    "mnist_gan": {"latent": 3},
    "conv_vae": {},
    "photo_vae": {"latent": 3, "width": 4, "features": "none"},
}


@pytest.fixture
def labelled(tmp_path):
    """An array file with a column of three numbers' worth of classes and one of years."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 60)
    images = draw.integers(0, 80, (60, 12, 10)) + 80 * y[:, None, None]
    np.savez(tmp_path / "toy.npz", x=images.astype(np.uint8), y=y)
    return str(tmp_path / "toy.npz")


@pytest.fixture
def edited(array_file, trained):
    """A toy run under these edits."""

    def make(name, edits, recipe="mnist_mlp_vae", stop=None, options=None, **knobs):
        options = options or latentia.Options(log_every=2, save_every=2)
        knobs = {"data": array_file, "batch": 16, "epochs": 3, **SMALL[recipe], **knobs}
        return trained(name, recipe, knobs, stop, modifiers=edits, options=options)

    return make


def logged(run):
    rows = [r for r in read_rows(run.path / "log.jsonl") if r["event"] == "logged"]
    return [row["players"]["vae"] for row in rows]


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "vaegan"])
def test_the_log_holds_raw_nats_of_each_part_and_the_rate_that_they_sum_to(edited, recipe):
    edits = {
        "divergence": {"divergence": "tc", "tc_weight": 4.0, "mi_weight": 0.5},
        "kl_schedule": {"kl_schedule": "linear", "kl_until": 1.0},
    }
    rows = logged(edited("a", edits, recipe, beta=2.0))
    for row in rows:
        terms, weights = row["terms"], row["weights"]
        assert sum(terms[part] for part in PARTS) == pytest.approx(terms["rate"], abs=1e-3)
        assert weights["rate"] == 0
        assert weights["total correlation"] == pytest.approx(4 * weights["dimension-wise KL"])
        assert weights["mutual information"] == pytest.approx(weights["dimension-wise KL"] / 2)
    last = [row["weights"]["dimension-wise KL"] for row in rows]
    assert last == sorted(last)
    assert 1.5 < last[-1] < 2


EDITS = {
    "tc": {"divergence": {"divergence": "tc"}},
    "capacity": {"capacity": {"capacity": 5.0, "capacity_until": 0.5}},
    "free": {"free_bits": {"free_bits": 0.3}},
    "supervised": {"supervise": {"supervise": "label", "supervise_dims": 2}},
    "multirate": {"multirate": {"multirate": "0.1:4"}},
    "mmd": {"divergence": {"divergence": "mmd"}, "cond": {"cond": "label"}},
    "vamp": {"prior": {"prior": "vamp", "pseudo_inputs": 5}},
}


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "vaegan"])
@pytest.mark.parametrize("kind", EDITS)
def test_an_interrupted_run_under_an_edit_goes_on_bit_for_bit(edited, labelled, kind, recipe):
    whole, cut = (
        edited(name, EDITS[kind], recipe, stop, data=labelled)
        for name, stop in (("whole", None), ("cut", 5))
    )
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)
    assert whole.model().sample(2).shape[0] == 2
    page = write_report(whole, whole.images()).read_text()
    for term in logged(whole)[-1]["terms"]:
        assert TERM_LABELS.get(term, term) in page  # the title of its curve


def test_an_interrupted_closed_form_with_a_condition_goes_on_bit_for_bit(edited, labelled):
    whole, cut = (
        edited(name, {"cond": {"cond": "label"}}, "photo_vae", stop, data=labelled)
        for name, stop in (("whole", None), ("cut", 5))
    )
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


@pytest.mark.parametrize(("kind", "is_class"), [("class", True), ("number", False)])
def test_mmd_compares_latents_within_the_classes_of_cond(edited, labelled, kind, is_class):
    options = latentia.Options(label_kind=f"label={kind}")
    run = edited("a", EDITS["mmd"], stop=1, data=labelled, options=options)
    model = run.plan().model
    with use_columns(model, {"label": torch.tensor([2, 0])}):
        classes = model.divergence.get_classes()
    assert (classes is not None) == is_class
    assert not is_class or classes.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert model.divergence.get_classes() is None  # outside


def test_a_capacity_grows_until_its_share_of_the_run(edited):
    held = edited("a", EDITS["capacity"], stop=1).plan().model.divergence
    assert [held.target_rate(share) for share in (0, 0.25, 0.5, 1)] == [0, 2.5, 5, 5]


def test_divergence_kl_is_the_recipe_as_it_is(edited):
    assert content(edited("a", {})) == content(edited("b", {"divergence": {"divergence": "kl"}}))


def test_supervised_dimensions_learn_the_label_and_scores_are_of_images_alone(edited, labelled):
    seldom = latentia.Options(log_every=2, label_kind="label=number")
    how = {"options": seldom, "epochs": 80, "hidden": 32, "lr": 1e-2}
    run = edited("a", EDITS["supervised"], data=labelled, **how)
    nats = [row["terms"]["label label"] for row in logged(run)]
    assert nats[0] > 0.9 * np.log(3)
    assert nats[-1] < 0.3
    validated = [r for r in read_rows(run.path / "log.jsonl") if r["event"] == "validated"]
    assert set(validated[0]["values"]) == {"nelbo", "distortion", "rate", "excess", "mse_draws"}


def test_with_many_betas_the_log_holds_raw_nats_and_the_mean_weight_under_its_schedule(edited):
    edits = {**EDITS["multirate"], "kl_schedule": {"kl_schedule": "linear", "kl_until": 0.5}}
    rows = logged(edited("a", edits, beta=0.5))
    weights = [row["weights"]["rate"] for row in rows]
    assert weights[0] < 0.5 * weights[-1]
    # log-uniform on 0.1 to 4, with a twelfth of the draws on each end
    mean = (3.9 / np.log(40) * 10 + 0.1 + 4) / 12
    assert weights[-1] == pytest.approx(mean, rel=0.15)
    assert all(row["weights"]["distortion"] == 1 for row in rows)


def test_a_gaussian_of_many_betas_learns_a_sigma_for_each(edited):
    how = {"likelihood": "gaussian", "latent": 3, "epochs": 10, "lr": 1e-2}
    model = edited("a", EDITS["multirate"], "conv_vae", beta=1.0, **how).model()
    sigmas = []
    for model.dial.beta in (0.1, 4.0):
        sigmas.append(model.likelihood.compute_log_sigma().exp().item())
    assert sigmas[0] != sigmas[1]
    assert type(model.likelihood) is Gaussian


def test_a_run_of_many_betas_answers_for_the_one_that_is_asked(edited):
    run = edited("a", EDITS["multirate"], beta=9.0)
    images = run.images().split("test").get_batch(slice(0, 5)).image
    rates = {b: run.with_beta(b).model().encode(images).kl().mean().item() for b in (0.1, 1.0, 4.0)}
    assert len(set(rates.values())) == 3
    # the recipe's beta, as near as the range has it
    assert run.model().encode(images).kl().mean().item() == rates[4.0]
    assert run.with_beta(None) is run
    assert run.with_beta(0.5).name == "a at beta 0.5"
    with pytest.raises(latentia.Error, match=r"--beta is 9; .*a has learned 0.1 to 4\."):
        run.with_beta(9.0)
    with pytest.raises(latentia.Error, match="The autoencoder is a at beta 1; give the folder of"):
        start_run("latent_prior", {"autoencoder": run.with_beta(1.0)})
    assert main(["evaluate", str(run.path), "--metrics", "elbo"]) == 0
    assert main(["evaluate", str(run.path), "--beta", "1"]) == 0
    kept = (run.path / "evaluation.json").read_text()
    assert main(["evaluate", str(run.path), "--beta", "0.1"]) == 0
    assert (run.path / "evaluation.json").read_text() == kept  # of the run as it answers by itself
    single = edited("b", {})
    with pytest.raises(latentia.Error, match="b has learned one beta alone; omit it"):
        single.with_beta(1.0)


@pytest.mark.parametrize(
    ("edits", "knobs", "said"),
    [
        ({"divergence": {"divergence": "tc"}}, {"recipe": "mnist_gan"},
         "--divergence needs a model with a posterior; leave it out of this recipe."),
        ({"capacity": {}}, {"recipe": "mnist_gan"}, "--capacity needs a model with a posterior"),
        ({"free_bits": {}}, {"recipe": "mnist_gan"}, "--free-bits needs a model with a posterior"),
        ({"supervise": {}}, {"recipe": "mnist_gan"}, "--supervise needs a model with a posterior"),
        ({"divergence": {"divergence": "kl", "tc_weight": 2.0}}, {},
         "--divergence kl takes no weight of another divergence, and one is given; leave it out"),
        ({"divergence": {"divergence": "tc", "rate_weight": 2.0}}, {}, "--divergence tc takes no"),
        ({"divergence": {"divergence": "mmd", "mi_weight": 2.0}}, {}, "--divergence mmd takes no"),
        ({"divergence": {"divergence": "mmd"}}, {"recipe": "photo_vae"},
         "--divergence mmd needs a VAE whose encoder is trained; leave it out of this recipe."),
        ({"divergence": {"divergence": "mmd"}}, {"batch": 1},
         "--divergence mmd compares the latents of a batch, and this one holds 1; give --batch 2"),
        ({"divergence": {"divergence": "tc"}}, {"batch": 1},
         "--divergence tc compares the latents of a batch, and this one holds 1; give --batch 2"),
        ({"divergence": {"divergence": "tc"}}, {"data": np.zeros((1, 9, 9), np.uint8)},
         "and this one holds 1; give --batch 2 or more, and more images."),
        ({"divergence": {"divergence": "tc"}, "free_bits": {}}, {},
         r"--free-bits and another option both replace the rate \(KL\): leave one out"),
        ({"capacity": {}, "free_bits": {}}, {}, "--free-bits and another option both replace"),
        ({"iwae": {"iwae": 5}, "free_bits": {}}, {},
         r"--free-bits replaces the rate \(KL\), which a bound of 5 samples lacks; leave one"),
        ({"divergence": {"tc_weight": -1.0}}, {}, "--tc-weight is -1.0; it must be at least 0."),
        ({"supervise": {"supervise": "Year"}}, {},
         "--supervise names Year; .* has no label columns"),
        ({"multirate": {"multirate": "1"}}, {},
         "--multirate is 1; give two betas above 0, the lower first, as 0.01:10."),
        ({"multirate": {"multirate": "0:1"}}, {}, "--multirate is 0:1; give two betas"),
        ({"multirate": {}}, {"recipe": "mnist_gan"}, "--multirate needs a model with a rate"),
        ({"multirate": {}, "free_bits": {}}, {},
         r"--multirate and another option both change the rate \(KL\): leave one"),
        ({"iwae": {"iwae": 5}, "multirate": {}}, {},
         "--multirate trades distortion for rate, which a bound of 5 samples lacks;"),
        ({"supervise": {"supervise": "label", "supervise_dims": 9}}, {},
         "--supervise-dims is 9; the model has 3: lower it."),
    ],
)  # fmt: skip
def test_what_edits_refuse(edited, tmp_path, edits, knobs, said):
    with pytest.raises(latentia.Error, match=said):
        edited("a", edits, **knobs)
    assert not (tmp_path / "a").exists()


def test_labels_of_a_table_are_learned_and_the_model_needs_it_no_more(tmp_path, monkeypatch):
    from PIL import Image

    draw = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    rows = ["file,Brand,Year"]
    for number in range(24):
        level = 60 + 120 * (number % 2)
        noise = draw.integers(-20, 20, (12, 10))
        Image.fromarray((level + noise).astype(np.uint8)).save(tmp_path / f"photos/{number:02}.png")
        rows.append(f"{number:02}.png,{('Ford', 'Opel')[number % 2]},{1950 + number}.5")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    knobs = {"data": "photos", "hidden": 8, "latent": 3, "batch": 8, "epochs": 4}
    edits = {"supervise": {"supervise": "Brand,Year"}}
    options = latentia.Options(log_every=2, save_every=2, labels="labels.csv")
    made = {}
    for name, stop in (("whole", 99), ("cut", 3)):
        run, events = start_run("mnist_mlp_vae", knobs, modifiers=edits, options=options, run=name)
        for _, _ in zip(events, range(stop), strict=False):
            pass
        events.close()  # pyright: ignore[reportAttributeAccessIssue] # it holds the lock
        made[name] = run
    table = str(tmp_path / "labels.csv")
    assert made["whole"].metadata["options"]["labels"] == table
    assert made["whole"].metadata["images"]["label_source"] == table
    assert made["whole"].metadata["images"]["labels"]["Brand"] == ["Ford", "Opel"]
    assert {"label Brand", "label Year"} <= set(logged(made["whole"])[-1]["terms"])
    monkeypatch.chdir("/")
    list(resume_run(tmp_path / "cut")[1])
    assert content(RunFolder.open(tmp_path / "cut")) == content(RunFolder.open(tmp_path / "whole"))
    (tmp_path / "labels.csv").write_text("\n".join(rows).replace("Ford", "Fiat", 1))
    with pytest.raises(latentia.Error, match="no longer those that it was trained with; bring the"):
        resume_run(tmp_path / "whole")
    (tmp_path / "labels.csv").write_text("\n".join(rows[:-1]))  # one image has no term
    knobs["data"], options = tmp_path / "photos", latentia.Options(labels=table)
    run, events = start_run("mnist_mlp_vae", knobs, modifiers=edits, options=options)
    list(events)
    assert all(np.isfinite(list(row["terms"].values())).all() for row in logged(run))
    notes = RunFolder.open(run.path).plan().images.notes
    text = "1 of 24 images (split all: Brand of 1, Year of 1): these have no value."
    assert any(note.endswith(text) for note in notes)
    (tmp_path / "labels.csv").unlink()
    model = latentia.load(tmp_path / "whole").model
    assert model.sample(1).shape == (1, 1, 28, 28)
    brand, year = model.supervision.heads  # pyright: ignore
    assert brand.out_features == 2
    assert 1955 < year.centre < 1970  # of 1950.5 to 1973.5
    with pytest.raises(latentia.Error, match=r"labels\.csv\) cannot be found; bring the"):
        RunFolder.open(tmp_path / "whole").plan()
