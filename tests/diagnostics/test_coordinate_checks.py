"""Checks of coordinates against a linear baseline, and the findings that a run keeps."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_planted import patient, scores

import latentia
from latentia.core.errors import DamageError
from latentia.diagnostics import coordinates, diagnose, duration
from latentia.diagnostics.run_context import RunContext
from latentia.latents.encoding import LatentTable
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_json, write_json

RATE = [{"values": {"rate": 5.0, "nelbo": 9.0}, "is_best": True}]
OVERFITTED = [
    {"epoch": k, "step": k, "values": {"rate": 5.0, "nelbo": v}, "is_best": not k}
    for k, v in enumerate((9.0, 5.0, 6.0, 7.0, 8.0))
]


def table(mean):
    return LatentTable(mean.astype("f4"), np.ones_like(mean, "f4"), None)


@pytest.mark.parametrize(("factor", "is_worse"), [(0.8, False), (1.25, True)])
def test_a_model_that_a_pca_beats_is_named_with_both_errors(
    tmp_path, monkeypatch, factor, is_worse
):
    context = patient(tmp_path, validation_rows=RATE)
    shape = context.autoencoder.latent_shape
    context.__dict__["latent_table"] = table(np.zeros((len(context.held_out), *shape)))
    pca = SimpleNamespace(
        dims=20,
        measure_mse=lambda x: torch.full((len(x),), 0.04),
        encode=lambda x: torch.zeros(len(x), 20),
    )
    monkeypatch.setattr(coordinates, "fit_pixel_pca", lambda images, dims: pca)
    context.__dict__ |= {"residual": (0.04 * factor, 0.1), "total_steps": 1000}
    finding = coordinates.no_better_than_pca(context)
    assert bool(finding) == is_worse
    if finding:
        assert "squared error of reconstructions is 0.05, and 0.04 by PCA" in finding.text
        assert "with 20 dimensions (ratio 1.25" in finding.text
        assert "More epochs reduce the error" in finding.consequence
        assert [" --epochs " in each for each in finding.suggested_commands] == [True]
        context.__dict__["validation_rows"] = OVERFITTED
        finding = coordinates.no_better_than_pca(context)
        assert "The run overfits, so that more epochs do not reduce" in finding.consequence
        assert finding.suggested_commands == ()
    levels = patient(tmp_path / "levels", "image_hvae", {"width": 4}, validation_rows=RATE)
    levels.__dict__ |= {name: context.__dict__[name] for name in ("residual", "total_steps")}
    assert coordinates.no_better_than_pca(levels) is None


@pytest.mark.parametrize(
    ("mse", "pca_mse", "name"),
    [
        (0.058, 0.065, "details not described"),  # of a variance of 0.1, as photographs of cells
        (0.058, 0.04, "images not learned"),  # PCA describes them
        (0.09, 0.091, "images not learned"),  # noise, which nothing describes
        (0.101, 0.091, "images not learned"),
        (0.04, 0.05, None),
    ],
)
def test_images_that_pca_describes_as_little_are_hard_and_not_unlearned(
    tmp_path, monkeypatch, mse, pca_mse, name
):
    context = patient(tmp_path, validation_rows=RATE)
    shape = context.autoencoder.latent_shape
    context.__dict__["latent_table"] = table(np.zeros((len(context.held_out), *shape)))
    pca = SimpleNamespace(dims=20, measure_mse=lambda x: torch.full((len(x),), pca_mse))
    monkeypatch.setattr(coordinates, "fit_pixel_pca", lambda images, dims: pca)
    context.__dict__ |= {"residual": (mse, 0.1), "total_steps": 1000}
    checks = coordinates.details_not_described, duration.images_not_learned
    findings = [finding for check in checks if (finding := check(context))]
    assert [finding.kind for finding in findings] == ([name] if name else [])
    for finding in findings:
        assert "explain" in finding.text
        assert f"PCA with 20 dimensions {1 - pca_mse / 0.1:.0%}" in finding.text
        assert ("(negative: the mean image is closer to the images)" in finding.text) == (mse > 0.1)
        if name == "images not learned":
            distance = "farther from its" if mse > 0.1 else "hardly closer to its"
            assert (f"{distance} image than the mean" in finding.consequence) == (mse > 0.08)
        changed = "--latent" if name == "details not described" else "--epochs"
        assert [changed in command for command in finding.suggested_commands] == [True]
    context.__dict__["validation_rows"] = OVERFITTED
    for finding in filter(None, (check(context) for check in checks)):
        assert not any("--epochs" in command for command in finding.suggested_commands)


@pytest.mark.parametrize(("noise", "is_told"), [(3.0, True), (0.2, False)])
def test_labels_that_a_pca_reads_better_are_named_with_both_intervals(
    tmp_path, monkeypatch, noise, is_told
):
    np.save(tmp_path / "a.npy", np.random.default_rng(1).random((1000, 8, 8), np.float32))
    options = {"data": str(tmp_path / "a.npy")}
    context, draw = patient(tmp_path, knobs=options, validation_rows=RATE), np.random.default_rng(0)
    n, images = len(context.held_out), context.held_out[:]
    weight = draw.normal(size=n)
    columns = {"weight": torch.from_numpy(weight), "kind": torch.arange(n) % 2}
    context.__dict__["held_out"] = context.held_out.with_columns(columns)
    coordinates_ = np.c_[weight + noise * draw.normal(size=n), draw.normal(size=n)]
    context.__dict__["latent_table"] = table(coordinates_)
    components = torch.from_numpy(weight[:, None] + 0.2 * draw.normal(size=(n, 2)))
    pca = SimpleNamespace(
        dims=2,
        measure_mse=lambda x: torch.full((len(x),), 0.04),
        encode=lambda x: components[: len(x)],
    )
    monkeypatch.setattr(coordinates, "fit_pixel_pca", lambda images, dims: pca)
    monkeypatch.setattr(context, "decode_latents", lambda latents: images[: len(latents)])
    context.__dict__ |= {"residual": (0.05, 0.1), "total_steps": 1000}
    text = coordinates.no_better_than_pca(context).text
    assert ("Labels are read worse too: R² of weight 0." in text) == is_told
    assert ("from the PCA's (95 % intervals)" in text) == is_told
    assert "kind" not in text


def test_correlated_coordinates_are_named_with_their_effective_number(tmp_path):
    context = patient(tmp_path, validation_rows=RATE)
    draw = np.random.default_rng(0)
    context.__dict__["latent_table"] = table(draw.normal(size=(400, 6)))
    assert coordinates.correlated_coordinates(context) is None
    shared = draw.normal(size=(400, 1))
    context.__dict__["latent_table"] = table(shared + 0.3 * draw.normal(size=(400, 6)))
    finding = coordinates.correlated_coordinates(context)
    assert finding.values["active"] == 6
    assert finding.values["correlation"] > 0.85
    assert 1 < finding.values["effective"] < 1.5
    assert all("--axes principal" in command for command in finding.suggested_commands)


def test_findings_are_kept_for_a_run_whose_images_are_gone(tmp_path, monkeypatch):
    import latentia

    images = np.random.default_rng(0).random((60, 8, 8), np.float32)
    run = latentia.train(
        "mnist_mlp_vae", images, epochs=2, latent=2, hidden=8, beta=300.0, run=tmp_path / "run"
    )
    kept = read_json(run.path / diagnose.DIAGNOSIS_FILE)
    again = diagnose.diagnose_run(RunFolder.open(run.path))
    assert {finding.kind for finding in again.findings} == {f["kind"] for f in kept["findings"]}
    (text,) = again.skipped_checks
    assert text.startswith("Kept from the training: images in two splits")
    assert "array of" not in text  # which a command cannot be given
    # findings of other weights do not count
    kept["step"] += 1
    write_json(run.path / diagnose.DIAGNOSIS_FILE, kept)
    texts = diagnose.diagnose_run(RunFolder.open(run.path)).skipped_checks
    assert texts[0].startswith("Not checked: images in two splits")
    # the log alone names a collapse, as of a run that was stopped
    (run.path / diagnose.DIAGNOSIS_FILE).unlink()
    report = diagnose.diagnose_run(RunFolder.open(run.path))
    few, collapse, *_ = report.findings
    assert (few.kind, collapse.kind) == ("few steps", "posterior collapse")
    assert "cannot be used: few steps" in report.verdict
    n_unchecked = report.skipped_checks[0].split(". ")[0].count(",") + 1
    assert report.verdict.endswith(f". {n_unchecked} checks could not run.")
    assert "could not run" not in again.verdict


def test_a_damaged_file_of_findings_is_named(tmp_path):
    context = patient(tmp_path, validation_rows=scores(3.0))
    for content in ("", "{", "[]", '{"findings": 1}', '{"findings": [], "step": -1}'):
        (context.run.path / diagnose.DIAGNOSIS_FILE).write_text(content)
        with pytest.raises(DamageError, match=r"diagnosis\.json"):
            diagnose.load_findings(context)


@pytest.mark.parametrize(("kept", "is_lost"), [(0.0, True), (0.9, False)])
def test_colours_that_are_lost_are_named(tmp_path, monkeypatch, kept, is_lost):
    draw = np.random.default_rng(0)
    grey = draw.uniform(0.2, 0.8, (60, 1, 8, 8))
    images = np.clip(grey + draw.uniform(-0.1, 0.1, (60, 3, 1, 1)), 0, 1).astype("f4")
    np.save(tmp_path / "a.npy", images)
    context = patient(tmp_path, "conv_vae", {"data": str(tmp_path / "a.npy")}, validation_rows=RATE)
    originals = context.select_images(context.max_images)
    shade = originals.mean(1, keepdim=True)
    decoded = shade + kept * (originals - shade)
    context.__dict__ |= {"latent_table": table(np.zeros((len(originals), 2))), "total_steps": 999}
    monkeypatch.setattr(context, "decode_latents", lambda latents: decoded)
    context.__dict__["residual"] = (0.001, 0.03)
    finding = coordinates.colors_not_learned(context)
    assert bool(finding) == is_lost
    if finding:
        assert "97% of the pixels' variance, but 0% of that of the colours" in finding.text
        assert [" --epochs " in each for each in finding.suggested_commands] == [True]
        context.__dict__["validation_rows"] = OVERFITTED
        assert coordinates.colors_not_learned(context).suggested_commands == ()


@pytest.mark.parametrize("is_carried", [True, False])
def test_a_condition_that_the_latents_carry_is_named(tmp_path, monkeypatch, is_carried):
    labels = np.arange(200) % 2
    images = np.random.default_rng(0).integers(0, 256, (200, 6, 6), dtype=np.uint8)
    run = latentia.train(
        "mnist_mlp_vae", images, labels={"plate": labels}, cond="plate", hidden=8, latent=3,
        epochs=1, batch=20, run=tmp_path / "run", label_kind="plate=class", validation=0.3,
        progress=False,
    )  # fmt: skip
    context = RunContext(run.folder, run.images)
    monkeypatch.setattr(coordinates, "carries_information", lambda context: True)

    def encode(split):
        means = np.random.default_rng(len(split)).normal(size=(len(split), 3))
        means[:, 0] += 4 * is_carried * split.columns["plate"].numpy()
        return table(means)

    monkeypatch.setattr(coordinates, "encode_split", lambda model, split: encode(split))
    monkeypatch.setattr(RunContext, "has_few_steps", False)
    context.__dict__ |= {"latent_table": encode(context.held_out)}
    result = coordinates.condition_in_latents(context)
    if not is_carried:
        assert result is None
        return
    assert result is not None
    assert result.text.startswith("plate is read from the latents of held-out images with accuracy")
    assert result.values["score"] > 0.9
    (command,) = result.suggested_commands
    assert "divergence" in command
    assert "mmd" in command
