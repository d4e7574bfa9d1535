"""`latentia sweep` and `choose`: killed, shared, gone on with; and what they refuse."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toys import TRAIN

from latentia.cli.main import main
from mistakes import error

# `latentia`, whose trainings draw no reports
QUICK = """import sys
from latentia.cli.main import main
from latentia.report import page
page.write_report = lambda *_: None
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def data(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "toy.npy", pixels)
    return str(tmp_path / "toy.npy")


def words(data, out, *more):
    over = ["--over", "beta=log:0.1:10", "--trials", "3"]
    over += ["--precision", "fp32"]  # of two processes' bits
    return ["sweep", "mnist_mlp_vae", *over, "--data", data, *TRAIN, "--out", str(out), *more]


def weights(out):
    return {path.parent.name: path.read_bytes() for path in out.glob("*/weights.safetensors")}


def start_command(*command):
    return subprocess.Popen(
        [sys.executable, "-c", QUICK, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_sweep_ends_with_its_curve_and_is_not_trained_twice(data, tmp_path, capsys):
    out = tmp_path / "sweep"
    assert main(words(data, out)) == 0
    output = capsys.readouterr().out
    assert "3 of 3 runs complete; validation, nats per image" in output
    assert output.splitlines()[-1] == str(out / "sweep.png")
    for name in ("000", "001", "002"):
        assert f"{name} │" in output
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*") if path.is_file()}
    assert main(words(data, out)) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert main(["choose", str(out), "--for", "reconstruction"]) == 0
    output = capsys.readouterr().out
    assert "For reconstruction, beta " in output
    assert "the largest beta whose error is within 2% of the least." in output
    assert f"latentia reconstruct {out}" in output


def test_a_killed_sweep_loses_nothing_but_goes_on_with_the_trial_that_ran(data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    longer = ["--epochs", "8", "--save-every", "2"]
    assert main(words(data, whole, *longer)) == 0
    process = start_command(*words(data, cut, *longer))
    while not (cut / "001" / "state.safetensors").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = (cut / "000" / "weights.safetensors").stat().st_mtime_ns
    assert not (cut / "002").exists()
    assert main(words(data, cut, *longer)) == 0
    assert (cut / "000" / "weights.safetensors").stat().st_mtime_ns == done
    assert weights(cut) == weights(whole)
    assert len(weights(cut)) == 3


def test_two_workers_on_one_storage_share_the_trials(data, tmp_path, capsys):
    """The second, this process, begins while the other is in its first trial."""
    out, storage = tmp_path / "sweep", f"sqlite:///{tmp_path}/sweep.db"
    more = ["--epochs", "2", "--trials", "4", "--storage", storage]
    other = start_command(*words(data, out, *more))
    while not (out / "000" / "run.json").exists():
        assert other.poll() is None, other.communicate()[0]
        time.sleep(0.01)
    assert main(words(data, out, *more)) == 0
    output = [other.communicate()[0], capsys.readouterr().out]
    assert other.returncode == 0
    trained = [
        name for name in ("000", "001", "002", "003") for t in output if f"{name}/report.html" in t
    ]
    assert trained == ["000", "001", "002", "003"], output
    assert all("Traceback" not in t for t in output), output


def test_a_stopped_sweep_says_how_to_go_on(data, tmp_path, capsys, monkeypatch):
    """At its second save: what it writes first, it writes before it listens."""
    replace, saves = os.replace, []

    def replace_and_stop(source, target):
        replace(source, target)
        if Path(target).name == "state.safetensors":
            saves.append(target)
            if len(saves) == 2:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "replace", replace_and_stop)
    assert main(words(data, tmp_path / "sweep", "--epochs", "40", "--save-every", "2")) == 130
    assert (
        "run the same command to continue: latentia sweep mnist_mlp_vae --over beta=log:0.1:10"
        in capsys.readouterr().out
    )
    assert not (tmp_path / "sweep" / "001").exists()


def test_what_a_sweep_refuses(data, tmp_path, capsys):
    out = tmp_path / "sweep"
    base = ["sweep", "mnist_mlp_vae", "--data", data, *TRAIN, "--precision", "fp32", "--out", out]
    assert "A sweep needs something to vary: --over beta=log:0.05:20." in error(capsys, *base)
    over = [*base, "--over", "beta=log:0.1:10"]
    assert "--trials is 0; it must be at least 1." in error(capsys, *over, "--trials", "0")
    assert "--over names beta, beta; give each parameter once." in error(
        capsys, *over, "--over", "beta=1,2"
    )
    assert "has no parameter --betta; did you mean --beta?" in error(
        capsys, *base, "--over", "betta=1,2"
    )
    assert "--beta is -1.0; it must be at least 0." in error(capsys, *base, "--over", "beta=-1,2")
    assert "A sweep names its runs itself; leave --run out, or give --out FOLDER." in error(
        capsys, *over, "--run", tmp_path / "x"
    )
    assert not out.exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    full = [*over[:-4], "--out", tmp_path / "full", *over[-2:]]
    assert "full exists and is not a sweep; give another --out." in error(capsys, *full)
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["file"]
    assert main([*map(str, over), "--trials", "2"]) == 0
    assert "holds another sweep (latentia sweep mnist_mlp_vae --over beta=log:0.1:10" in error(
        capsys, *over, "--trials", "3"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--storage", "nowhere://x"], "The storage nowhere://x cannot be used"),
        (["--device", "abacus"], "--device abacus is no device;"),
        (["--labels", "none.csv"], "none.csv does not exist; give a .csv or .parquet file."),
        (["--cond", "label"], "--cond names label; "),
    ],
)
def test_a_refused_sweep_leaves_nothing(more, message, data, tmp_path, capsys):
    """The same command would else find that all of its trials have failed."""
    assert message in error(capsys, *words(data, tmp_path / "sweep", *more))
    assert [each.name for each in tmp_path.iterdir()] == ["toy.npy"]


def test_a_refused_sweep_keeps_a_folder_that_was_there(data, tmp_path, capsys):
    (tmp_path / "sweep").mkdir()
    assert "cannot be used" in error(
        capsys, *words(data, tmp_path / "sweep", "--storage", "nowhere://x")
    )
    assert [*(tmp_path / "sweep").iterdir()] == []


def test_without_optuna_a_sweep_says_what_to_install_and_writes_nothing(
    data, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "optuna.trial", None)
    message = error(capsys, *words(data, tmp_path / "sweep"))
    assert message == 'latentia sweep needs pip install "latentia[sweep]".'
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_of_a_recipe_without_encoder_says_so_before_it_trains(data, tmp_path, capsys):
    out = tmp_path / "sweep"
    capsys.readouterr()
    command = ["sweep", "mnist_gan", "--over", "lr=1e-4,1e-3", "--data", data, "--out", str(out)]
    assert main(command) == 2
    assert "mnist_gan has no encoder; give the recipe of a VAE." in capsys.readouterr().err
    assert not out.exists()


def test_what_choose_refuses(run, capsys):
    base = ["choose", run, "--for", "sampling"]
    assert "was trained for a single beta, so there is no choice; train" in error(capsys, *base)
    for flag, value, message in (
        ("--points", "1", "--points is 1; it must be at least 2."),
        ("--tolerance", "1", "--tolerance is 1; it must be at least 0 and less than 1."),
        ("-n", "1", "-n is 1; it must be at least 2."),
    ):
        assert message in error(capsys, *base, flag, value)


def test_settings_that_cannot_be_are_one_failed_trial_and_the_others_go_on(data, tmp_path, capsys):
    out = tmp_path / "sweep"
    base = ["sweep", "vaegan", "--data", data, "--latent", "3", "--epochs", "1", "--batch", "16"]
    assert main([*base, "--over", "size=8,24", "--trials", "2", "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert "000: Images of 8x8 are too small for this VAE-GAN" in output.err
    assert "1 of 2 runs complete" in output.out


def test_a_storage_that_holds_other_settings_by_this_name_is_refused(data, tmp_path, capsys):
    storage = ["--storage", f"sqlite:///{tmp_path}/sweep.db"]
    assert main([*words(data, tmp_path / "a" / "s", *storage), "--trials", "1"]) == 0
    other = [*words(data, tmp_path / "b" / "s", *storage), "--over", "latent=2,3"]
    message = error(capsys, *other)
    assert "holds another sweep named s; give another --out." in message


def setting(values):
    from latentia.sweep.study import Setting
    from latentia.training.plan import Options

    return Setting({name: int(value) for name, value in values.items()}, Options(), {})


def test_whole_numbers_stay_whole(tmp_path):
    from latentia.sweep.study import Sweep

    study = Sweep("mnist_mlp_vae", ["batch=1000:20000"], 3, setting, path=tmp_path / "s")
    assert [each["batch"] for each in study.settings] == ["1000", "10500", "20000"]


def test_a_sweep_has_its_folders_name_however_it_is_given(tmp_path, monkeypatch):
    from latentia.sweep.study import Sweep

    (tmp_path / "s").mkdir()
    monkeypatch.chdir(tmp_path / "s")
    study = Sweep("mnist_mlp_vae", ["beta=1,2"], 2, setting, path=".")
    assert study.open_study().study_name == "s"
