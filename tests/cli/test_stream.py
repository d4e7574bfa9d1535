"""What a user does with a stream: every command of a run works on it, from any folder."""

import json
import shlex

import pytest

from data.shards import counted
from latentia.cli.main import main
from latentia.diagnostics import suggested_commands
from latentia.diagnostics.run_context import RunContext
from latentia.runs.folder import RunFolder

SMALL = ["--batch", "16", "--epochs", "2", "--threads", "1"]


@pytest.fixture
def streamed(tmp_path, monkeypatch):
    """A run, and the current folder away from where it was trained."""
    counted(tmp_path / "shards", shards=12, each=8, size=(12, 12))
    monkeypatch.chdir(tmp_path)
    words = ["--data", "shards", "--stream", "--hidden", "8", "--latent", "3", "--run", "run"]
    assert main(["train", "mnist_mlp_vae", *words, *SMALL]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "run"


def test_a_streamed_run_is_judged_encoded_and_built_on_from_any_folder(streamed, capsys):
    assert main(["evaluate", str(streamed), "--metrics", "elbo", "--json"]) == 0
    assert main(["encode", str(streamed), "--split", "all", "--out", "latents.csv"]) == 0
    with open("latents.csv", encoding="utf-8") as file:
        rows = file.read().splitlines()
    assert len(rows) == 97
    assert any(row.startswith('"digits-003.tar/0024"') for row in rows)
    prior = ["latent_prior", "--autoencoder", str(streamed), "--width", "16", "--depth", "1"]
    assert main(["train", *prior, *SMALL, "--run", "prior"]) == 0
    capsys.readouterr()
    assert main(["resume", str(streamed)]) == 0
    assert "finished" in capsys.readouterr().out


def test_what_is_wrong_with_a_stream_is_mended_in_its_shards(streamed, capsys):
    """Its grey squares are constant images, which the doctor says."""
    capsys.readouterr()
    assert main(["doctor", str(streamed), "--json"]) == 0
    findings = {each["kind"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    (command,) = findings["constant images"]["suggested_commands"]
    assert command == f"latentia doctor {streamed} --table {streamed}-images.csv"
    assert "Look at them" in findings["constant images"]["consequence"]


def test_what_the_doctor_prescribes_reads_the_same_images(streamed, tmp_path, capsys):
    """Another recipe, and a prior of shards that have moved."""
    capsys.readouterr()
    (tmp_path / "shards").rename(tmp_path / "moved")
    moved = ["--data", str(tmp_path / "moved")]
    prior = ["latent_prior", "--autoencoder", str(streamed), "--width", "16", "--depth", "1"]
    assert main(["train", *prior, *SMALL, *moved, "--run", "prior"]) == 0
    capsys.readouterr()
    assert main(["doctor", "prior", "--json"]) == 0
    findings = {each["kind"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert f"--data {tmp_path / 'moved'}" in findings["few steps"]["suggested_commands"][0]
    (tmp_path / "moved").rename(tmp_path / "shards")
    (small,) = suggested_commands.use_recipe(
        RunContext(RunFolder.open(streamed)), "mnist_mlp_vae", "small", latent=2
    )
    assert main([*shlex.split(small)[1:], *SMALL]) == 0
    about = json.loads((streamed.parent / "run-small" / "run.json").read_text())
    assert (
        about["images"]["fingerprint"] == RunFolder.open(streamed).metadata["images"]["fingerprint"]
    )


def test_a_shard_that_has_changed_is_not_the_runs(streamed, tmp_path, capsys):
    counted(tmp_path / "shards", shards=1, each=7, size=(12, 12))
    assert main(["evaluate", str(streamed), "--metrics", "elbo"]) == 2
    assert "is no longer what" in capsys.readouterr().err


def test_shards_that_have_moved_are_given_anew_also_to_a_prior(streamed, tmp_path, capsys):
    (tmp_path / "shards").rename(tmp_path / "moved")
    moved = ["--data", str(tmp_path / "moved")]
    assert main(["evaluate", str(streamed), *moved, "--metrics", "elbo"]) == 0
    assert main(["resume", str(streamed), *moved]) == 0
    prior = ["latent_prior", "--autoencoder", str(streamed), "--width", "16", "--depth", "1"]
    assert main(["train", *prior, *SMALL, *moved, "--stream", "--run", "prior"]) == 0
    counts = [
        json.loads((run / "run.json").read_text())["images"]["count"]
        for run in (streamed, tmp_path / "elsewhere" / "prior")
    ]
    assert counts[0] == counts[1] == {"train": 80, "validation": 8, "test": 8}


def test_a_prior_streams_what_its_autoencoder_did(tmp_path, capsys):
    words = ["--data", "digits:200", "--hidden", "8", "--latent", "3", "--run", str(tmp_path / "a")]
    assert main(["train", "mnist_mlp_vae", *words, *SMALL]) == 0
    prior = ["latent_prior", "--autoencoder", str(tmp_path / "a"), "--stream"]
    assert main(["train", *prior, *SMALL, "--run", str(tmp_path / "b")]) == 2
    assert "--stream has no effect: images" in capsys.readouterr().err
