"""The command line on toy runs: what each command writes, and every error text."""

import contextlib
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from toys import TRAIN

from latentia.cli.main import COMMANDS, main
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_json, write_json
from mistakes import error


@pytest.mark.report
def test_train_ends_with_the_path_of_the_report(place, tmp_path, capsys):
    data = str(place / "toy.npy")
    assert (
        main(["train", "mnist_mlp_vae", "--data", data, "--run", str(tmp_path / "r"), *TRAIN]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(tmp_path / "r" / "report.html")
    assert any("validation (3 images, beta 1): nelbo" in line for line in lines)


def test_pictures_are_written_and_say_where_they_come_from(run, place, tmp_path, capsys):
    out = tmp_path / "p.png"
    photos = place / "photos"
    for words in (
        ["sample", run, "-n", "9", "--seed", "3"],
        ["reconstruct", run],
        ["reconstruct", run, "--data", photos],
        ["interpolate", run, "0", "1", "--steps", "5"],
        ["interpolate", run, photos / "00.png", photos / "07.png"],
    ):
        assert main([str(w) for w in [*words, "--out", out]]) == 0
        with Image.open(out) as picture:
            assert picture.width > 100
            assert "run" in picture.text["Description"]  # pyright: ignore
        out.unlink()
    assert "seed 3" in main_text(run, tmp_path)


def main_text(run, tmp_path):
    main(["sample", str(run), "-n", "4", "--seed", "3", "--out", str(tmp_path / "s.png")])
    with Image.open(tmp_path / "s.png") as picture:
        return picture.text["Description"]  # pyright: ignore


def test_samples_as_numbers(run, tmp_path):
    assert main(["sample", str(run), "-n", "7", "--out", str(tmp_path / "s.npy")]) == 0
    assert np.load(tmp_path / "s.npy").shape == (7, 1, 28, 28)


def test_evaluate_prints_json_with_the_promised_fields(run, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 0
    first = capsys.readouterr().out
    result = json.loads(first)
    assert {"nelbo_nats", "distortion_nats", "rate_nats", "mse_draws", "active_units"} <= set(
        result
    )
    assert result["n"] == 4
    assert result["split"] == "test"
    parts = result["distortion_nats"] + result["rate_nats"]
    assert result["nelbo_nats"] == pytest.approx(parts, rel=1e-6)  # summed in float32
    main(["evaluate", str(run), "--json"])
    assert capsys.readouterr().out == first
    assert main(["evaluate", str(run)]) == 0
    assert "nelbo_nats" in capsys.readouterr().out


def test_other_data_are_evaluated_whole(run, place, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(place / "photos"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 12


def test_report_and_resume_of_a_complete_run(run, capsys):
    (run / "report.html").unlink(missing_ok=True)
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").exists()
    capsys.readouterr()
    assert main(["resume", str(run)]) == 0
    message, _, command = capsys.readouterr().out.splitlines()[:3]
    assert message == "run is finished: step 4 of 4."
    assert shlex.split(command) == ["latentia", "resume", str(run), "--epochs", "2"]  # of 1


@pytest.mark.report
def test_a_run_has_its_folders_name_however_it_is_given(run, place, capsys, monkeypatch):
    for inside, words in ((run, "."), (run / "progress", ".."), (run, "progress/..")):
        monkeypatch.chdir(inside)
        assert (RunFolder.open(words).name, RunFolder.open(words).path) == ("run", run)
    assert main(["report", "."]) == 0
    assert "<title>run · latentia</title>" in (run / "report.html").read_text()
    monkeypatch.chdir(run.parent)
    for short in ("run", "run/", "./run", "../" + run.parent.name + "/run"):
        assert RunFolder.open(short).path == Path(short)  # commands that are printed stay short
    (run.parent / "new").mkdir()
    monkeypatch.chdir(run.parent / "new")
    words = ["train", "mnist_mlp_vae", "--data", str(place / "toy.npy"), "--run", ".", *TRAIN]
    assert main(words) == 0
    assert "<title>new · latentia</title>" in Path("report.html").read_text(encoding="utf-8")


def test_recipes_and_help(capsys):
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert "mnist_mlp_vae  (--data mnist)" in listed
    assert "652,824 parameters" in listed
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    for name in COMMANDS:
        assert name in output
    assert main(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)
    with pytest.raises(SystemExit) as stop:
        main(["train", "mnist_mlp_vae", "--help"])
    assert stop.value.code == 0
    output = capsys.readouterr().out
    assert "--kl-schedule" in output
    assert "latent dimensions" in output
    assert "recipe options" in output
    assert "training options" in output
    _, of_images = output.split("image options")
    of_images, advanced = of_images.split("advanced options")
    assert of_images.index("--labels ") < of_images.index("--max-pixels ")
    assert "--threads" in advanced
    assert "options options" not in output
    assert "range of beta that one run learns, such as 0.01:10" in " ".join(output.split())


def test_choices_that_hold_a_comma_are_told_apart(capsys):
    with pytest.raises(SystemExit):
        main(["train", "photo_vae", "--help"])
    output = capsys.readouterr().out
    assert "{none|flip|shift|flip,shift}" in output
    assert "{none,samples}" in output


@pytest.mark.usefixtures("fresh_registries")
def test_a_recipe_of_ones_own_trains_and_loads(place, tmp_path, capsys):
    mine = tmp_path / "my.py"
    mine.write_text(
        "import latentia\n"
        "from latentia.recipes.mnist_mlp_vae import mnist_mlp_vae\n\n"
        "@latentia.recipe\n"
        "def mine(data: str = 'digits', hidden: int = 8) -> latentia.Plan:\n"
        "    return mnist_mlp_vae(data, latent=2, hidden=hidden, epochs=1)\n"
    )
    words = ["train", f"{mine}:mine", "--data", str(place / "toy.npy"), "--hidden", "5"]
    assert main([*words, "--run", str(tmp_path / "r")]) == 0
    assert main(["sample", str(tmp_path / "r"), "--out", str(tmp_path / "s.png")]) == 0
    assert "has no recipe other; it holds mine" in error(capsys, "train", f"{mine}:other")
    assert "There is no file" in error(capsys, "train", f"{tmp_path}/no.py:mine")


def test_an_edit_is_recorded_and_changes_the_weights(place, tmp_path):
    words = ["train", "mnist_mlp_vae", "--data", str(place / "toy.npy"), "--epochs", "5"]
    words += ["--hidden", "8", "--batch", "8", "--log-every", "1", "--run", str(tmp_path / "r")]
    assert main([*words, "--kl-schedule", "linear", "--kl-until", "0.8", "--kl-from", "0.1"]) == 0
    about = read_json(tmp_path / "r" / "run.json")
    assert about["modifiers"]["kl_schedule"]["kl_until"] == 0.8
    rows = [json.loads(line) for line in (tmp_path / "r" / "log.jsonl").read_text().splitlines()]
    weights = [r["players"]["vae"]["weights"]["rate"] for r in rows if r["event"] == "logged"]
    assert weights[0] == pytest.approx(0.1)
    assert weights[-1] == 1.0
    assert sorted(weights) == weights


def test_mistakes_in_the_words(place, tmp_path, capsys):
    data = ["--data", str(place / "toy.npy"), "--run", str(tmp_path / "r")]
    assert "There is no command trian; did you mean train?" in error(capsys, "trian")
    text = error(capsys, "train", "mnist_mpl_vae")
    assert "There is no recipe mnist_mpl_vae; did you mean mnist_mlp_vae?" in text
    assert "conv_vae" in text
    text = error(capsys, "train", "conv_vae", "--latnet", "3")
    assert "conv_vae has no parameter --latnet; did you mean --latent?" in text
    assert text.endswith("--latent? latentia train conv_vae --help lists all parameters.")
    text = error(capsys, "train", "conv_vae", "--zzz", "3")
    assert text.endswith("no parameter --zzz; latentia train conv_vae --help lists all parameters.")
    assert error(capsys, "train", "mnist_gan", "--size", "64") == (
        "mnist_gan has no parameter --size, as its images have one size; leave it out, or take a "
        "recipe that has it, such as conv_vae, image_autoencoder, image_hvae and 5 more."
    )
    text = error(capsys, "sample", "r", "--sed", "1")
    assert text.endswith("did you mean --seed? latentia sample --help lists all parameters.")
    assert "No recipe was named" in error(capsys, "train")
    for words, message in (
        (["--epochs", "-1"], "--epochs is -1; it must be at least 1."),
        (["--batch", "0"], "--batch is 0; it must be at least 1."),
        (["--lr", "nan"], "--lr is nan; it must be a finite number and more than 0."),
        (["--lr", "inf"], "--lr is inf; it must be a finite number and more than 0."),
        (["--beta", "-2"], "--beta is -2.0; it must be at least 0."),
        (["--validation", "1"], "--validation is 1.0; it must be at least 0 and less than 1."),
        (["--kl-until", "0.3"], "--kl-until does nothing without --kl-schedule"),
        (["--kl-schedule", "linear", "--kl-warmup", "0.9"], "--kl-warmup 0.9 is not before"),
        (["--tc-weight", "3"], "--tc-weight does nothing without --divergence"),
        (["--labels", "x.csv"], "x.csv does not exist; give a .csv"),
        (["--capacity", "-1"], "--capacity is -1.0; it must be at least 0."),
        (["--device", "cuda"], "--device cuda cannot be used here"),
        (["--device", "gpu"], "--device gpu is no device; did you mean cuda? --device takes auto"),
        (["--device", "GPU:1"], "--device GPU:1 is no device; did you mean cuda:1? --device takes"),
        (["--device", "cud"], "--device cud is no device; did you mean cuda? --device takes"),
        (["--device", "xpu:x"], "--device xpu:x is no device; did you mean cpu? --device takes"),
        (["--device", "fpga:0"], "--device fpga:0 is no device; --device takes auto, cpu, c"),
    ):
        assert message in error(capsys, "train", "mnist_mlp_vae", *data, *words)
    assert not (tmp_path / "r").exists()


def test_wrong_types_are_refused_by_name(capsys):
    for words, message in (
        (
            ["--latent", "many"],
            "--latent is many; it must be a whole number "
            "(number of latent dimensions, at least 1).",
        ),
        (
            ["--latent=2.5"],
            "--latent is 2.5; it must be a whole number (number of latent dimensions, at least 1).",
        ),
        (["--lr"], "--lr has no value; it must be a number (highest learning rate"),
        (["--lr", "--epochs", "1"], "--lr has no value; it must be a number ("),
        (["--aspect", "--seed", "1"], "--aspect has no value; it must be one of stretch, crop"),
        (
            ["--aspect", "x"],
            "--aspect is x; it must be one of stretch, crop, pad (how an image of other "
            "proportions than --size gets them).",
        ),
        (["--free-bits", "x"], "--free-bits is x; it must be a number (rate (KL) of a latent"),
        (["--threads", "two"], "--threads is two; it must be a whole number ("),
        (["--divergence", "foo"], "--divergence is foo; it must be one of kl, tc, mmd ("),
        (["--tracker", "foo"], "--tracker is foo; it must be one of tensorboard, wandb, mlflow ("),
    ):
        assert message in error(capsys, "train", "mnist_mlp_vae", *words)
    assert error(capsys, "sample", "r", "-n", "1e3").startswith(
        "-n is 1e3; it must be a whole number (number of images"
    )
    assert error(capsys, "decode", "r").startswith("Missing from latentia decode: --latents LATENT")
    assert error(capsys, "sample", "r", "--steps", "x").startswith(
        "--steps is x; it must be a whole number ("
    )
    assert error(capsys, "encode", "r", "--clusters", "x").startswith(
        "--clusters is x; it must be a whole number or auto (number of groups of similar images, "
    )


def test_mistakes_in_the_data_leave_nothing_behind(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    bad = np.full((20, 28, 28), np.nan, np.float32)
    np.save(tmp_path / "nan.npy", bad)
    for data in ("missing", "empty", "nan.npy"):
        words = ["--data", tmp_path / data, "--run", tmp_path / "r"]
        assert data in error(capsys, "train", "mnist_mlp_vae", *words)
        assert not (tmp_path / "r").exists()


def test_mistakes_in_the_run(run, place, tmp_path, capsys):
    data = ["--data", place / "toy.npy"]
    text = error(capsys, "train", "mnist_mlp_vae", *data, "--run", run)
    assert f"{run} exists; `latentia resume {run}` goes on with it, or give another --run." in text
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    text = error(capsys, "train", "mnist_mlp_vae", *data, "--run", tmp_path / "full")
    assert "exists; give another --run." in text
    text = error(capsys, "train", "mnist_mlp_vae", *data, "--run", run / "run.json" / "r")
    assert "cannot be written" in text
    assert "There is no run at" in error(capsys, "sample", tmp_path / "none")
    text = error(capsys, "sample", tmp_path / "full")
    assert "is not a run: it has no readable run.json" in text
    assert "-n is 0; it must be at least 1" in error(capsys, "sample", run, "-n", "0")
    assert "ends in .jpg; give a .png" in error(capsys, "sample", run, "--out", "x.jpg")
    assert "--steps is 1" in error(capsys, "interpolate", run, "0", "1", "--steps", "1")
    text = error(capsys, "interpolate", run, "0", "99")
    assert "There is no image 99 in split all; it has images 0 to 39." in text
    text = error(capsys, "evaluate", run, "--split", "dev")
    assert "'dev' is not a split" in text


def test_spoilt_weights_are_named(run, capsys):
    good = (run / "weights.safetensors").read_bytes()

    def spoilt(content):
        (run / "weights.safetensors").write_bytes(content)
        return error(capsys, "sample", run)

    text = spoilt(good[:4096])
    assert "file not fully covered). Train again" in text
    assert "is not a whole safetensors file" in spoilt(b"")
    assert "is not a whole safetensors file" in spoilt(b"not tensors at all")
    (run / "weights.safetensors").unlink()
    text = f"it lacks weights.safetensors. `latentia resume {run}` goes on with it."
    assert text in error(capsys, "sample", run)
    assert main(["resume", str(run)]) == 0
    (run / "weights.safetensors").unlink()
    (run / ".lock").unlink()  # in a copy by the hub, or of an autoencoder
    assert "it lacks weights.safetensors. Train again, or" in error(capsys, "sample", run)


def test_a_recipe_that_no_longer_fits(run, capsys):
    tensors = load_file(run / "weights.safetensors")
    tensors["encoder.layers.0.weight"] = tensors["encoder.layers.0.weight"][:4].clone()
    save_file(tensors, run / "weights.safetensors")
    text = error(capsys, "sample", run)
    assert "no longer fits its recipe" in text
    assert "encoder.layers.0.weight as (4, 784), the model wants (8, 784)" in text
    about = read_json(run / "run.json")
    about["arguments"]["gone"] = 1
    write_json(run / "run.json", about)
    text = error(capsys, "sample", run)
    assert "no longer fits its recipe mnist_mlp_vae" in text
    assert "has no parameter --gone" in text


def test_a_run_lives_without_its_data_and_says_so_where_it_needs_them(run, place, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.move(run, moved)
    about = read_json(moved / "run.json")
    gone = str(tmp_path / "gone.npy")
    about["arguments"]["data"] = about["images"]["source"] = gone
    write_json(moved / "run.json", about)
    out = ["--out", str(tmp_path / "p.png")]
    assert main(["sample", str(moved), *out]) == 0
    photos = str(place / "photos")
    assert main(["reconstruct", str(moved), "--data", photos, *out]) == 0
    assert main(["interpolate", str(moved), f"{photos}/00.png", f"{photos}/01.png", *out]) == 0
    assert "gone.npy" in error(capsys, "evaluate", moved)


def test_other_images_under_the_same_name_are_noticed(run, tmp_path, capsys):
    about = read_json(run / "run.json")
    np.save(tmp_path / "toy.npy", np.zeros((40, 28, 28), np.uint8))
    about["images"]["source"] = str(tmp_path / "toy.npy")
    write_json(run / "run.json", about)
    text = error(capsys, "evaluate", run)
    assert re.search(r"is no longer what .* \(as many images, 33 train, .* 4 test, but other", text)


def test_a_run_executes_nothing_that_it_holds(run, tmp_path):
    """The recipe's source is there for reading: a run from elsewhere must not run code here."""
    about = read_json(run / "run.json")
    about["source"] = "raise SystemExit('executed')"
    write_json(run / "run.json", about)
    assert main(["sample", str(run), "--out", str(tmp_path / "s.png")]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal device")
def test_a_terminal_gets_a_bar(place, tmp_path, capsys, monkeypatch):
    import os
    import pty
    import threading

    leader, follower = pty.openpty()
    screen = b""

    def read():
        nonlocal screen
        with contextlib.suppress(OSError):  # Linux's word for the end of a terminal
            while part := os.read(leader, 4096):
                screen += part

    reader = threading.Thread(target=read)
    reader.start()
    words = ["train", "mnist_mlp_vae", "--data", str(place / "toy.npy"), *TRAIN]
    with open(follower, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        code = main([*words, "--run", str(tmp_path / "r")])
    reader.join(timeout=60)
    os.close(leader)
    assert code == 0, screen
    assert capsys.readouterr().out.strip() == str(tmp_path / "r" / "report.html")
    assert b"nats" in screen
    assert b"4/4" in screen


def test_the_runs_own_images_given_again_are_still_split(run, place, capsys):
    """The owner of a moved run names its data: the training images must not be scored with it."""
    for words, n, split in (
        (["--data", place / "toy.npy"], 4, "test"),
        (["--data", place / "toy.npy", "--split", "train"], 33, "train"),
        (["--data", place / "photos"], 12, "all"),
        (["--data", place / "photos", "--split", "test"], 1, "test"),
    ):
        capsys.readouterr()
        assert main([str(w) for w in ["evaluate", run, "--json", *words]]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["n"], result["split"]) == (n, split)
    text = error(capsys, "report", run, "--data", place / "photos")
    assert re.search(r"is no longer what .* \(\d+ train, .* test now; .* test then\)", text)


def test_a_run_of_another_version_says_so(run, capsys):
    about = read_json(run / "run.json")
    for part, name in (("options", "gone"), ("modifiers", "gone_edit")):
        other = json.loads(json.dumps(about))
        other[part][name] = {name: 1}
        write_json(run / "run.json", other)
        text = error(capsys, "sample", run)
        assert "another version" in text or "There is no modifier gone_edit" in text


@pytest.mark.usefixtures("fresh_registries")
def test_recipes_of_ones_own_that_will_not_do(tmp_path, capsys):
    head = "import latentia\n@latentia.recipe\ndef mine"
    for number, (rest, message) in enumerate(
        (
            ("(hidden: int = 8): pass", "takes no data; give it a parameter `data`"),
            ("(data, hidden: int = 8): pass", "has a parameter data without default"),
            ("(data='digits', seed: int = 1): pass", "an option of every recipe; rename it"),
            ("(data='digits'): pass", "returned NoneType; return a latentia.Plan"),
        )
    ):
        mine = tmp_path / f"mine{number}.py"
        mine.write_text(head + rest)
        assert message in error(capsys, "train", f"{mine}:mine", "--run", tmp_path / "r")


@pytest.mark.usefixtures("fresh_registries")
def test_a_knob_that_is_on_can_be_turned_off(place, tmp_path):
    mine = tmp_path / "flagged.py"
    mine.write_text(
        "import latentia\nfrom latentia.recipes.mnist_mlp_vae import mnist_mlp_vae\n"
        "@latentia.recipe\ndef mine(data='digits', wide: bool = True, hidden=3):\n"
        "    return mnist_mlp_vae(data, latent=2, hidden=8 if wide else hidden, epochs=1)\n"
    )
    words = ["train", f"{mine}:mine", "--data", str(place / "toy.npy"), "--no-wide"]
    assert main([*words, "--hidden", "5", "--run", str(tmp_path / "r")]) == 0
    about = read_json(tmp_path / "r" / "run.json")
    assert (about["arguments"]["wide"], about["arguments"]["hidden"]) == (False, 5)


def test_beta_zero_and_late_constants_are_schedules_too(place, tmp_path):
    base = ["train", "mnist_mlp_vae", "--data", str(place / "toy.npy"), *TRAIN[:-2]]
    for number, (words, first, last) in enumerate(
        (
            (["--beta", "0", "--kl-schedule", "exponential"], 0.0, 0.0),
            (["--kl-schedule", "constant", "--kl-warmup", "0.4"], 0.0, 1.0),
            (["--kl-schedule", "constant"], 1.0, 1.0),
        )
    ):
        run = tmp_path / str(number)
        assert main([*base, *words, "--log-every", "1", "--run", str(run)]) == 0
        rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        weights = [r["players"]["vae"]["weights"]["rate"] for r in rows if r["event"] == "logged"]
        assert (weights[0], weights[-1]) == (first, last)


def test_a_reader_that_has_enough_is_no_error(run):
    import subprocess

    command = (
        f"{sys.executable} -u -m latentia evaluate {run} --json | head -1; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines() == ["{", "0"]
