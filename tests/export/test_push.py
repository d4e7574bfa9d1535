"""Runs on the hub: pushed, fetched whole and checked, or refused; never the network, never code."""

import json
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from shelf import TOKEN, Shelf

import latentia
from latentia.cli.main import main
from latentia.core.text import round_to_error
from latentia.export.hub import strip_folders
from latentia.runs.hub import check_run_folder
from mistakes import error

NAME = "me/toy"
# the hub's library puts large files by a word that its own HTTP library calls old
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A VAE that was measured, and a prior over it; their images in a folder of a telling name."""
    folder = tmp_path_factory.mktemp("secretive") / "my own"
    folder.mkdir()
    draw = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.save(folder / "toy.npy", draw)
    small = ["--batch", "8", "--epochs", "1"]
    words = ["conv_vae", "--data", str(folder / "toy.npy"), "--latent", "3", *small]
    assert main(["train", *words, "--run", str(folder / "vae")]) == 0
    assert main(["evaluate", str(folder / "vae"), "--metrics", "elbo,image"]) == 0
    words = ["latent_prior", "--autoencoder", str(folder / "vae"), "--width", "16", "--depth", "1"]
    assert main(["train", *words, *small, "--run", str(folder / "prior")]) == 0
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The shelf in the hub's place, for a user who is logged in; a cache of one's own."""
    from huggingface_hub import constants

    shelf = Shelf()
    monkeypatch.setattr(constants, "ENDPOINT", shelf.url)
    template = shelf.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "cache"))
    yield shelf
    shelf.shutdown()
    shelf.server_close()


def kept(folder):
    """Files of the cache that someone could take for a run."""
    return sorted(path.name for path in (folder / "cache" / "hub").rglob("*") if path.is_file())


@pytest.mark.parametrize("run", ["vae", "prior"])
def test_what_is_pushed_is_loaded_and_draws_the_same_to_the_bit(made, hub, run, capsys, tmp_path):
    capsys.readouterr()
    assert main(["push", str(made / run), NAME]) == 0
    assert capsys.readouterr().out == f"{hub.url}/{NAME}\n"
    if run == "prior":
        inner = latentia.load(f"hub:{NAME}/autoencoder")
        assert torch.equal(inner.sample(2), latentia.load(made / "vae").sample(2))
    ours, theirs = latentia.load(made / run), latentia.load(f"hub:{NAME}")
    assert torch.equal(ours.sample(5, seed=3), theirs.sample(5, seed=3))
    files = hub.repos[NAME]
    inner = ["autoencoder/run.json", "autoencoder/weights.safetensors"] * (run == "prior")
    wanted = [".gitattributes", "README.md", *inner, "pictures/samples.png", "run.json"]
    wanted += ["pictures/reconstructions.png", "weights.safetensors"]
    wanted += ["evaluation.json"] * (run == "vae")
    assert sorted(files) == sorted(wanted)
    out = tmp_path / "s.npy"
    assert main(["sample", f"hub:{NAME}", "-n", "5", "--seed", "3", "--out", str(out)]) == 0
    np.testing.assert_array_equal(np.load(out), ours.sample(5, seed=3).numpy())


def test_no_folder_of_this_machine_is_shared(made, hub):
    assert main(["push", str(made / "prior"), NAME, "--no-originals"]) == 0
    texts = {k: v for k, v in hub.repos[NAME].items() if k.endswith((".json", ".md"))}
    assert len(texts) == 4 - 1  # the prior was not measured
    for name, content in texts.items():
        assert str(made) not in content.decode(), name
        assert "secretive" not in content.decode(), name
        assert "my own" not in content.decode(), name
        assert "toy.npy" in content.decode(), name
    assert "pictures/reconstructions.png" not in hub.repos[NAME]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("pairs:/home/a b/in:/home/a b/out", "pairs:in:out"),
        ("pairs:C:\\a b\\in:D:\\out", "pairs:in:out"),
        ("diffusers:/home/me/model", "diffusers:model"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("hub:me/toy", "hub:me/toy"),
    ],
)
def test_no_folder_behind_a_colon_is_shared(text, rest):
    assert strip_folders({"data": [text]}) == {"data": [rest]}


def test_the_card_is_made_of_the_run(made, hub):
    assert main(["push", str(made / "vae"), NAME]) == 0
    text = hub.repos[NAME]["README.md"].decode()
    head, _, rest = text.removeprefix("---\n").partition("\n---\n")
    assert "library_name: latentia" in head
    assert "- conv_vae" in head
    assert "Images: toy.npy, 33 train, 3 validation, 4 test; 1 channel, 8 x 8 pixels" in rest
    found = json.loads((made / "vae" / "evaluation.json").read_text())
    value, spread = found["nelbo_nats"], 1.96 * found["standard_error"]["nelbo_nats"]
    numbers = round_to_error((value, value - spread, value + spread), spread)
    text = "| nelbo_nats | {} nats | {} to {} | 4 | test |  |".format(*numbers)
    assert text in rest
    assert "The doctor (`latentia doctor`): vae cannot be used: few steps" in rest
    assert "ERROR few steps: " in rest
    assert f'latentia.load("hub:{NAME}")' in rest
    assert "![samples](pictures/samples.png)" in rest


def test_a_prior_is_learned_over_a_run_of_the_hub(made, hub, tmp_path):
    assert main(["push", str(made / "vae"), NAME]) == 0
    words = ["--autoencoder", f"hub:{NAME}", "--data", str(made / "toy.npy"), "--width", "16"]
    words += ["--depth", "1", "--batch", "8", "--epochs", "1", "--run", str(tmp_path / "p")]
    assert main(["train", "latent_prior", *words]) == 0
    shutil.rmtree(tmp_path / "cache")
    assert latentia.load(tmp_path / "p").sample(2).shape == (2, 1, 8, 8)


def test_a_run_of_the_hub_is_exported_to_here(made, hub, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["push", str(made / "vae"), NAME]) == 0
    monkeypatch.setattr(
        "latentia.export.onnx.export_run", lambda run, out: out.mkdir(exist_ok=True)
    )
    capsys.readouterr()
    assert main(["export", f"hub:{NAME}"]) == 0
    assert capsys.readouterr().out == f"{NAME.split('/')[1]}-onnx\n"
    assert (tmp_path / f"{NAME.split('/')[1]}-onnx").is_dir()


def test_what_mends_a_run_of_the_hub_is_trained_here(made, hub, tmp_path, capsys):
    assert main(["push", str(made / "vae"), NAME]) == 0
    capsys.readouterr()
    assert main(["doctor", f"hub:{NAME}", "--data", str(made / "toy.npy"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    commands = [command for each in found for command in each["suggested_commands"]]
    trained = [command.split() for command in commands if "--run" in command]
    assert trained
    for words in trained:
        assert words[words.index("--run") + 1].startswith("toy-")


def test_a_new_version_is_fetched_once_and_the_last_one_serves_without_the_hub(
    made, hub, monkeypatch
):
    from huggingface_hub import constants

    assert main(["push", str(made / "prior"), NAME]) == 0
    first = latentia.load(f"hub:{NAME}").sample(2)
    hub.asked.clear()
    latentia.load(f"hub:{NAME}")
    assert [each for each in hub.asked if "resolve" in each] == []
    assert main(["push", str(made / "vae"), NAME]) == 0
    assert "autoencoder/run.json" not in hub.repos[NAME]  # no part of the old one stays
    second = latentia.load(f"hub:{NAME}").sample(2)
    assert not torch.equal(first, second)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(latentia.load(f"hub:{NAME}").sample(2), second)


def test_a_version_that_is_no_longer_in_the_cache_is_not_opened(
    made, hub, tmp_path, capsys, monkeypatch
):
    from huggingface_hub import constants

    assert main(["push", str(made / "vae"), NAME]) == 0
    latentia.load(f"hub:{NAME}")
    (weights,) = (tmp_path / "cache" / "hub").rglob("weights.safetensors")
    shutil.rmtree(weights.parents[1])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert error(capsys, "sample", f"hub:{NAME}").startswith(f"hub:{NAME} cannot be fetched: ")


def test_without_a_connection_the_reason_is_in_our_words(made, hub, capsys, monkeypatch):
    from huggingface_hub import HfApi, constants

    vae = made / "vae"
    for name, refusal in (("create_repo", "was not written"), ("model_info", "cannot be fetched")):
        words = ["push", vae, NAME] if name == "create_repo" else ["sample", f"hub:{NAME}"]
        with monkeypatch.context() as patch:
            patch.setattr(constants, "HF_HUB_OFFLINE", True)
            reason = "HF_HUB_OFFLINE is set, which allows no connection; unset it."
            assert error(capsys, *words) == f"hub:{NAME} {refusal}: {reason}"
        with monkeypatch.context() as patch:
            for kind in (ConnectionError("a page"), TimeoutError()):
                patch.setattr(HfApi, name, Mock(side_effect=kind))
                reason = "the hub does not answer; check the connection, or try again later."
                assert error(capsys, *words) == f"hub:{NAME} {refusal}: {reason}"


@pytest.mark.parametrize("cut", [0, 1_000])
def test_an_interrupted_download_leaves_nothing_that_could_be_taken_for_a_run(
    made, hub, cut, tmp_path, capsys
):
    assert main(["push", str(made / "vae"), NAME]) == 0
    hub.cut = cut
    assert error(capsys, "sample", f"hub:{NAME}").startswith(f"hub:{NAME} cannot be fetched: ")
    assert kept(tmp_path) == []
    hub.cut = None
    assert latentia.load(f"hub:{NAME}").sample(1).shape == (1, 1, 8, 8)


def test_a_kill_between_fetching_and_renaming_leaves_no_run(made, hub, tmp_path, monkeypatch):
    from latentia.runs import hub as reading

    def killed(*_):
        raise KeyboardInterrupt

    assert main(["push", str(made / "vae"), NAME]) == 0
    monkeypatch.setattr(reading, "check_run_folder", killed)
    assert main(["sample", f"hub:{NAME}"]) == 130
    assert kept(tmp_path) == []


def about(hub, **changes):
    run = json.loads(hub.repos[NAME]["run.json"])
    del run["checksum"]  # as a person who edits it would
    hub.repos[NAME]["run.json"] = json.dumps({**run, **changes}).encode()


def test_what_is_no_run_is_refused_and_not_fetched(made, hub, tmp_path, capsys):
    assert main(["push", str(made / "vae"), NAME]) == 0
    good = dict(hub.repos[NAME])
    for file in ("pytorch_model.bin", "code.py", "autoencoder/x.pt", "pictures/../a.png"):
        hub.repos[NAME] = {**good, file: b"\x80\x04"}
        hub.asked.clear()
        assert error(capsys, "sample", f"hub:{NAME}") == (
            f"hub:{NAME} holds {file}, which no run has; it was not fetched: ask its author."
        )
        assert not [each for each in hub.asked if "resolve" in each]
    hub.repos[NAME] = {k: v for k, v in good.items() if k != "weights.safetensors"}
    assert error(capsys, "sample", f"hub:{NAME}") == (
        f"hub:{NAME} lacks weights.safetensors; ask its author to push it anew."
    )
    hub.repos[NAME] = dict(good)
    about(hub, hook="import os")
    assert error(capsys, "sample", f"hub:{NAME}") == (
        f"The run.json of hub:{NAME} has the unknown keys hook; ask its author."
    )
    mine = tmp_path / "mine.py"
    mine.write_text("raise SystemExit('executed')")
    hub.repos[NAME] = dict(good)
    about(hub, recipe=f"{mine}:mine")
    assert error(capsys, "sample", f"hub:{NAME}") == (
        f"hub:{NAME} has the recipe {mine}:mine of somebody else, whose code is not run."
    )
    hub.repos[NAME] = {**good, "run.json": b"["}
    assert error(capsys, "sample", f"hub:{NAME}") == (
        f"hub:{NAME} has no readable run.json; ask its author for another copy."
    )
    hub.repos[NAME] = dict(good)
    about(hub, arguments={**json.loads(good["run.json"])["arguments"], "latent": 4})
    told = error(capsys, "sample", f"hub:{NAME}")
    assert told.startswith(f"hub:{NAME} no longer fits its recipe: weights.safetensors holds ")
    assert kept(tmp_path) == []


def test_runs_of_a_closed_form_and_extended_and_initialised_runs_are_shared(made, hub):
    assert main(["push", str(made / "vae"), NAME]) == 0
    about(hub, closed_form={"feature_weight": 1.0}, extended=[], init={})
    assert latentia.load(f"hub:{NAME}").sample(1).shape == (1, 1, 8, 8)


def test_nothing_else_is_replaced(made, hub, capsys):
    hub.repos[NAME] = {"README.md": b"mine", "model.safetensors": b"mine"}
    assert error(capsys, "push", made / "vae", NAME) == (
        f"hub:{NAME} holds model.safetensors, which no run has, and nothing was written, since all "
        "there would be replaced; give a new name."
    )
    assert hub.repos[NAME] == {"README.md": b"mine", "model.safetensors": b"mine"}


def test_a_cache_that_cannot_be_written_is_named(made, hub, tmp_path, capsys, monkeypatch):
    assert main(["push", str(made / "vae"), NAME]) == 0
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "file"))
    assert error(capsys, "sample", f"hub:{NAME}") == (
        f"{tmp_path / 'file'} cannot be written (Not a directory); set LATENTIA_CACHE to a folder "
        "of your own."
    )


def test_mistakes(made, hub, tmp_path, capsys, monkeypatch):
    vae = made / "vae"
    assert error(capsys, "push", vae, "toy") == (
        "toy is no name on the hub; write OWNER/NAME, such as me/faces."
    )
    assert error(capsys, "sample", "hub:") == (
        "'hub:' is no name on the hub; write OWNER/NAME, such as me/faces."
    )
    assert error(capsys, "sample", "hub:../toy") == (
        "../toy is no name on the hub; write OWNER/NAME, such as me/faces."
    )
    assert error(capsys, "sample", f"hub:{NAME}").startswith(f"hub:{NAME} cannot be fetched: ")
    shutil.copytree(vae, tmp_path / "cut")
    (tmp_path / "cut" / "weights.safetensors").write_bytes(b"")
    assert error(capsys, "push", tmp_path / "cut", NAME).startswith(
        f"{tmp_path / 'cut'} is not complete: weights.safetensors "
    )
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    assert error(capsys, "push", vae, NAME).startswith(f"hub:{NAME} was not written: ")
    monkeypatch.delenv("HF_TOKEN")
    assert error(capsys, "push", vae, NAME) == (
        "The hub needs a token: run `hf auth login`, or set HF_TOKEN to one that writes."
    )
    assert error(capsys, "push", vae, "faces").startswith("faces is no name on the hub; write OWN")
    assert NAME not in hub.repos
    with pytest.raises(latentia.Error, match=f"{vae} holds .*, which no run has"):
        check_run_folder(vae, str(vae))  # what is shared is less than a run's folder
