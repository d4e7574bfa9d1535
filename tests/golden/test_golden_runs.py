"""A run folder of format 1 opens, draws, is measured and resumes."""

import csv
import json
import shutil

import numpy as np
import pytest

import golden


@pytest.mark.parametrize("run", golden.SAMPLED)
def test_a_stored_run_draws_what_it_drew(run, tmp_path, check_bits):
    out = golden.sampled(run, tmp_path)
    stored, found = np.load(golden.RUNS / f"{run}.npy"), np.load(out)
    assert (found.dtype, found.shape) == (stored.dtype, stored.shape)
    np.testing.assert_allclose(found, stored, rtol=0, atol=1e-5)
    check_bits(f"sample {run}", golden.sha(out))


@pytest.mark.report
def test_a_stored_run_that_was_stopped_resumes_to_the_bit(tmp_path, check_bits):
    before = golden.tensors(golden.RUNS / "vae")
    run = golden.resumed(tmp_path)
    after = golden.tensors(run)
    assert not before["about"]["complete"]
    assert after["about"]["complete"]
    assert after["weights"] == before["weights"]
    assert (run / "report.html").exists()
    check_bits("resume", golden.digest(run))


@pytest.mark.parametrize("run", golden.SAMPLED)
def test_a_stored_run_encodes_its_images(run, tmp_path):
    out = tmp_path / "latents.csv"
    assert golden.main(["encode", str(golden.RUNS / run), "--out", str(out)]) == 0
    header, *rows = csv.reader(out.read_text().splitlines())
    assert {"key", "split", "mu_0", "sd_0", "rate", "label"} <= {*header}
    assert len(rows) == 60


@pytest.mark.parametrize("run", golden.MEASURED)
def test_a_stored_run_is_measured_as_it_was(run, tmp_path, monkeypatch):
    shutil.copytree(golden.RUNS / run, tmp_path / run)
    stored = json.loads((golden.RUNS / f"{run}.json").read_text())
    monkeypatch.setattr(golden, "RUNS", tmp_path)  # a measurement is kept in the run's folder
    found = golden.measured(run)
    assert {name: found[name] for name in stored} == pytest.approx(stored, rel=1e-4)
