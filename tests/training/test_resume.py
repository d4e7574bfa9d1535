"""One seed, one result: the same bytes however often, and wherever, a run was interrupted."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest
import torch
from safetensors.torch import load_file

import latentia
from data.shards import counted
from latentia.api.training import resume_run
from latentia.cli.main import main
from latentia.runs.create import create_run
from latentia.training.checkpoint import read_metadata, read_tensors
from latentia.training.loop import Loop
from latentia.training.optimizers import Adam, collect_moments, restore_moments
from latentia.training.state import SMALL, State

FILES = ("log.jsonl", "weights.safetensors", "state.safetensors")

RUNS = (("whole", None), ("cut", 5))


def content(run):
    return {name: (run.path / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def contents():
    """What whole runs hold, by recipe."""
    return {}


@pytest.fixture
def whole_content(toy, contents):
    """What a run of a recipe holds that was not interrupted, trained once for all tests here."""

    def find(recipe):
        if recipe not in contents:
            contents[recipe] = content(toy("whole", recipe))
        return contents[recipe]

    return find


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "conv_vae"])
def test_one_seed_gives_the_same_bytes_and_another_seed_others(toy, whole_content, recipe):
    first, again = whole_content(recipe), toy("b", recipe)
    assert first == content(again)
    other = toy("c", recipe, options=latentia.Options(log_every=2, save_every=2, seed=1))
    assert content(other)["log.jsonl"] != first["log.jsonl"]


@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "conv_vae"])
@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6, 8])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(toy, whole_content, recipe, stop):
    """The generator is dropped after `stop` events: later rows of the log belong to no state."""
    whole, cut = whole_content(recipe), toy("cut", recipe, stop=stop)
    assert content(cut) != whole
    _, events = resume_run(cut.path)
    list(events)
    assert content(cut) == whole


@pytest.mark.parametrize("stop", [1, 5, 6])
def test_an_interrupted_stream_goes_on_in_the_middle_of_its_shards(
    toy, tmp_path, monkeypatch, stop
):
    """Two windows an epoch: what was drawn, and from which, is of the seed and the epoch."""
    monkeypatch.setattr("latentia.data.streaming.WINDOW_IMAGES", 24)
    shards = str(counted(tmp_path / "shards", shards=8, each=8))
    options = latentia.Options(log_every=1, save_every=1, stream=True)
    whole, cut = (
        toy(name, stop=at, options=options, data=shards, batch=8)
        for name, at in (("whole", None), ("cut", stop))
    )
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


@pytest.mark.parametrize("k", [1, 5])
def test_an_interrupted_iwae_goes_on_with_the_same_draws_of_its_images(toy, k):
    whole, cut = (toy(name, "mnist_iwae", stop, k=k) for name, stop in RUNS)
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


@pytest.mark.parametrize("recipe", ["mnist_hvae", "image_hvae", "pixel_diffusion"])
def test_an_interrupted_run_of_other_families_goes_on_with_the_same_draws(toy, recipe):
    whole, cut = (toy(name, recipe, stop) for name, stop in RUNS)
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


@pytest.mark.parametrize("recipe", ["mnist_dcgan", "mnist_gan", "vaegan", "image_autoencoder"])
def test_an_interrupted_duel_goes_on_with_both_players_their_averages_and_gauges(toy, recipe):
    whole, cut = toy("whole", recipe), toy("cut", recipe, stop=5)
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


def test_a_row_that_was_cut_in_two_is_written_whole(toy):
    """Saved after the only step of the row in which the adversary acted, the fifth of the run."""
    how = {"options": latentia.Options(log_every=4, save_every=1), "adversary_every": 4}
    whole = toy("whole", "vaegan", **how)
    cut = toy("cut", "vaegan", lambda run: read_metadata(run.state)["step"] == 5, **how)
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


def test_an_interrupted_prior_goes_on_with_its_latents_units_and_averages(toy, tmp_path):
    parent = toy("vae").path
    whole, cut = (toy(name, "latent_prior", stop, autoencoder=parent) for name, stop in RUNS)
    assert content(cut) != content(whole)
    parent.rename(tmp_path / "elsewhere")
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)


def test_resuming_a_complete_run_changes_nothing(toy):
    run = toy("a")
    before = content(run)
    _, events = resume_run(run.path)
    *found, last = [type(event).__name__ for event in events]
    assert last == "TrainingFinished"
    assert set(found) <= {"Finding"}
    assert content(run) == before


def test_state_written_but_not_the_weights_is_mended_by_a_resume(toy):
    run = toy("a")
    weights = run.weights.read_bytes()
    run.weights.unlink()
    list(resume_run(run.path)[1])
    assert run.weights.read_bytes() == weights


def test_every_moment_has_its_parameters_strides_after_a_restore():
    """Contiguous moments beside a channels-last weight train wrongly without an error.

    Pitfall: Fused Adam after a channels-last resume.
    """

    def made():
        torch.manual_seed(0)
        module = torch.nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
        return module, Adam(1e-2).build_optimizer(module)

    def descend(module, optimizer, steps):
        for k in range(steps):
            draw = torch.Generator().manual_seed(k)
            image = torch.randn(2, 3, 6, 6, generator=draw).to(memory_format=torch.channels_last)
            module(image).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    straight, optimizer = made()
    descend(straight, optimizer, 3)
    kept = {k: v.clone().contiguous() for k, v in collect_moments(optimizer, straight).items()}
    weights = {k: v.clone().contiguous() for k, v in straight.state_dict().items()}
    resumed, fresh = made()
    resumed.load_state_dict(weights)
    restore_moments(fresh, resumed, kept)
    for parameter in resumed.parameters():
        for value in fresh.state[parameter].values():
            assert value.shape != parameter.shape or value.stride() == parameter.stride()
    descend(straight, optimizer, 3)
    descend(resumed, fresh, 3)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


THREADS = ["--threads", "2", "--save-every", "3"]
COMMAND = [sys.executable, "-m", "latentia"]


def words(array_file, run, recipe, extra=()):
    made = ["train", recipe, "--data", array_file, "--run", str(run), "--latent", "3", *extra]
    return [*made, "--batch", "8", "--epochs", "30", "--log-every", "5"]


def start_process(*run):
    return subprocess.Popen(
        [*COMMAND, *words(*run)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill_and_resume(array_file, folder, recipe, kills, draw):
    """Kill -9 at random moments, resume each time, and let the last one end."""
    process = start_process(array_file, folder, recipe, THREADS)
    done = 0
    while done < kills:
        state = folder / "state.safetensors"
        while not state.exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 0.5))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done += 1
        process = subprocess.Popen(
            [*COMMAND, "resume", str(folder)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        time.sleep(draw.uniform(1.5, 5.0))
    out, _ = process.communicate()
    assert process.returncode == 0, out
    return done


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["mnist_mlp_vae", "conv_vae"])
def test_twenty_kills_at_random_moments_leave_the_same_bytes(array_file, tmp_path, recipe):
    import random

    process = start_process(array_file, tmp_path / "whole", recipe, THREADS)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    draw, kills, number = random.Random(0), 0, 0
    while kills < 20:
        folder, number = tmp_path / f"cut{number}", number + 1
        kills += kill_and_resume(array_file, folder, recipe, 20 - kills, draw)
        for name in FILES:
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def train_and_signal(given, number, out):
    """The command, to which the system sends a signal at its ninth step."""
    train_step = Loop.train_step

    def signal_and_train(self, context):
        if context.step == 8:
            os.kill(os.getpid(), number)
        return train_step(self, context)

    Loop.train_step = signal_and_train
    with open(out, "w", encoding="utf-8") as sys.stdout, contextlib.redirect_stderr(sys.stdout):
        sys.exit(main(given))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_says_where_and_prints_the_resume_command(array_file, tmp_path, number):
    run, few = tmp_path / "r", ["--save-every", "100000", "--hidden", "8"]
    given = [*words(array_file, run, "mnist_mlp_vae", few), "--epochs", "3"]
    arguments = given, number, tmp_path / "out.txt"
    process = get_context("fork").Process(target=train_and_signal, args=arguments)
    process.start()
    process.join()
    out = (tmp_path / "out.txt").read_text("utf-8")
    assert process.exitcode == 130, out
    assert f"saved in {run}" in out
    assert f"latentia resume {run}" in out
    assert "Traceback" not in out
    whole = tmp_path / "whole"
    given[given.index(str(run))] = str(whole)
    assert main(given) == 0
    assert (run / "log.jsonl").read_bytes() != (whole / "log.jsonl").read_bytes()
    list(resume_run(run)[1])
    assert (run / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    assert torch.equal(
        load_file(run / "weights.safetensors")["decoder.layers.0.weight"],
        load_file(whole / "weights.safetensors")["decoder.layers.0.weight"],
    )


def test_a_kill_between_writing_and_renaming_leaves_the_last_good_state(
    toy, whole_content, monkeypatch
):
    run = toy("a", stop=4)
    good = run.state.read_bytes()

    def die(*_):
        raise OSError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(latentia.Error, match="killed here"):
            list(resume_run(run.path)[1])
    assert run.state.read_bytes() == good
    list(resume_run(run.path)[1])
    assert content(run) == whole_content("mnist_mlp_vae")


def test_wall_times_are_kept_apart_from_the_log(toy):
    run = toy("a")
    rows = [json.loads(line) for line in (run.path / "timing.jsonl").read_text().splitlines()]
    assert {"step", "seconds", "images_per_s"} == set(rows[0])
    assert "seconds" not in (run.path / "log.jsonl").read_text()


def test_a_run_trained_on_an_array_is_resumed_with_the_array(images, tmp_path):
    from latentia.api.training import start_run

    knobs = {"data": images, "hidden": 8, "batch": 16, "epochs": 2}
    run, events = start_run("mnist_mlp_vae", knobs, run=tmp_path / "r")
    next(events)
    events.close()
    with pytest.raises(latentia.Error, match=r"trained on an array of .* in memory; give it again"):
        latentia.resume(run.path)
    with pytest.raises(latentia.Error, match=r"is no longer what .* \(as many images, \d+ train, "):
        latentia.resume(run.path, data=255 - images)
    assert latentia.resume(run.path, data=images).sample(1, seed=0).shape == (1, 1, 28, 28)


def test_a_folder_that_is_called_as_a_source_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    from latentia.api.training import start_run

    run, _ = start_run("digits_vae", {}, run=tmp_path / "r")
    assert run.metadata["arguments"]["data"] == "digits"
    assert len(run.images().split("test")) == 180


def test_weights_without_their_state_are_not_silently_trained_anew(toy):
    run = toy("a")
    weights = run.weights.read_bytes()
    run.state.unlink()
    with pytest.raises(latentia.Error, match=r"is not complete: it lacks state\.safetensors"):
        list(resume_run(run.path)[1])
    assert run.weights.read_bytes() == weights


def test_a_log_that_is_shorter_than_its_state_says_is_named(toy):
    run = toy("a", stop=6)
    log = run.path / "log.jsonl"
    log.write_bytes(log.read_bytes()[:40])
    with pytest.raises(latentia.Error, match=r"log\.jsonl ends at byte 40 of"):
        list(resume_run(run.path)[1])


def test_averaged_weights_go_on_where_they_were(array_file, tmp_path):
    from latentia.training.loop import train

    def made(name):
        knobs = {"data": array_file, "latent": 3, "hidden": 8, "batch": 16, "epochs": 3}
        options = latentia.Options(log_every=2, save_every=2)
        run, plan = create_run("mnist_mlp_vae", knobs, {}, options, tmp_path / name)
        plan.average = 50.0
        return run, plan

    whole, plan = made("whole")
    list(train(plan, whole, whole.options))
    cut, plan = made("cut")
    for count, _ in enumerate(train(plan, cut, cut.options), 1):
        if count == 5:
            break
    plan = cut.plan()
    plan.average = 50.0
    list(train(plan, cut, cut.options))
    assert content(cut) == content(whole)


def test_large_equal_tensors_are_stored_once_and_restored_apart(array_file, tmp_path):
    knobs = {"data": array_file, "latent": 3, "hidden": 8, "batch": 16, "epochs": 3}
    _, plan = create_run("mnist_mlp_vae", knobs, {}, latentia.Options(), tmp_path / "run")
    plan.average = 50.0
    weights, path = plan.model.state_dict(), tmp_path / "state.safetensors"
    zero, equal = (key for key, tensor in weights.items() if tensor.numel() >= SMALL)
    weights[zero].zero_()
    state = State(plan)
    state.ema.tensors[zero].neg_()  # equal as a number, with other bits
    state.best_score = 1.0
    state.select_weights()
    state.save(path, {})
    copies = {key for key in read_tensors(path)[0] if key.startswith(("averaged", "selected"))}
    kept = weights.keys() - {equal}
    assert copies == {f"{part}|{key}" for part in ("averaged", "selected") for key in kept}
    again = State(plan)
    again.load(path)
    for tensors in (again.ema.tensors, again.best_weights):
        assert tensors[zero].signbit().all()
        assert all(torch.equal(tensors[key], weights[key]) for key in weights)
    again.ema.tensors[equal].add_(1)
    assert torch.equal(again.best_weights[equal], weights[equal])
