"""What a program must know stands in fields: no wording is read, so any may change."""

import json

import numpy as np
import pytest

import latentia
from latentia.api.training import start_run
from latentia.cli.main import main
from latentia.data.sources.registry import Source
from latentia.diagnostics.diagnose import diagnose_run
from latentia.runs.folder import RunFolder
from latentia.runs.hub import check_run_folder
from latentia.training.checkpoint import read_json, read_tensors, write_json, write_tensors
from latentia.training.events import EndReason
from latentia.training.log import digest_rows, read_rows
from latentia.training.plan import Options

TOY = {"hidden": 8, "latent": 3, "batch": 16, "epochs": 2}
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 12, 10), dtype=np.uint8)


def reword(path):
    """The log of a run with other sentences, as another version would write them."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["event"] == "finding":
            row["text"] = f"In other words, {row['step']}."
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    state = path.with_name("state.safetensors")
    tensors, metadata = read_tensors(state)
    write_tensors(state, tensors, metadata | digest_rows(path, path.stat().st_size))


def test_a_run_that_ended_by_its_numbers_is_known_in_any_words(tmp_path):
    knobs = {"data": IMAGES, **TOY, "lr": 1e18}
    run, events = start_run("mnist_mlp_vae", knobs, options=Options(threads=1), run=tmp_path / "r")
    *_, end = events
    assert end.reason is EndReason.NON_FINITE
    reword(run.path / "log.jsonl")
    found = {each.kind: each for each in diagnose_run(run, run.images(IMAGES)).findings}
    assert found["non-finite steps"].severity == "ERROR"
    assert "and the run ended. First: In other words, " in found["non-finite steps"].text
    assert "interrupted" not in found


def test_a_log_of_the_first_format_is_read_in_todays_words(tmp_path):
    step = {"step": 1, "total": 2, "epoch": 1, "images": 16, "players": {}}
    check, kind = {"step": 1, "epoch": 1, "n": 9}, {"step": 1, "kind": "k", "text": "T."}
    rows = [
        {"event": "logged", **step, "gauges": {"gauges": 1.0}},
        {"event": "validated", **check, "values": {"nelbo": 2.0}, "selected": True},
        {
            "event": "finding",
            **kind,
            "severity": "ILL",
            "means": "M.",
            "figures": {"n": 1},
            "cure": [],
        },
        {"event": "finding", **kind, "severity": "NOTE"},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {"consequence": "M.", "values": {"n": 1}, "suggested_commands": []}
    assert read_rows(tmp_path / "log.jsonl") == [
        {"event": "logged", **step, "monitors": {"gauges": 1.0}},
        {"event": "validated", **check, "values": {"nelbo": 2.0}, "is_best": True},
        {"event": "finding", **kind, "severity": "ERROR", **found},
        {"event": "finding", **kind, "severity": "NOTE"},
    ]


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A run whose images were in memory, of a version that calls them otherwise."""
    monkeypatch.setattr(Source, "name", "unnamed stack of pictures")
    path, options = tmp_path / "run", Options(threads=1)
    latentia.train("mnist_mlp_vae", data=IMAGES, options=options, run=path, **TOY)
    return path


def test_images_in_memory_are_known_in_any_words(memory):
    saved = json.loads((memory / "run.json").read_text())["images"]
    assert (saved["source"], saved["kind"]) == ("unnamed stack of pictures", "memory")
    with pytest.raises(
        latentia.Error, match="was trained on an unnamed stack of pictures in memory; give"
    ):
        RunFolder.open(memory).images()


def test_a_folder_is_no_array_whatever_it_is_called(memory):
    about = read_json(memory / "run.json")
    about["images"] |= {"source": "array of dogs", "kind": "address"}
    write_json(memory / "run.json", about)
    with pytest.raises(latentia.Error, match=r"array of dogs does not exist"):
        RunFolder.open(memory).images()


@pytest.mark.parametrize(
    ("source", "kind"), [("array of 60x1x12x10 uint8", "memory"), ("digits", "address")]
)
def test_an_older_folder_said_it_in_words_alone(memory, source, kind):
    about = read_json(memory / "run.json")
    del about["format"], about["images"]["kind"]
    about["edits"] = about.pop("modifiers")
    about["images"]["source"] = source
    write_json(memory / "run.json", about)
    assert RunFolder.open(memory).metadata["images"]["kind"] == kind


def test_a_run_on_the_hub_is_called_by_its_name_there(tmp_path):
    """Though its folder's path also stands within what is wrong."""
    data = str(tmp_path / "toy.npy")
    np.save(data, IMAGES)
    knobs = [word for name, value in TOY.items() for word in (f"--{name}", str(value))]
    assert (
        main(["train", "mnist_mlp_vae", "--data", data, "--run", str(tmp_path / "r"), *knobs]) == 0
    )
    folder = tmp_path / "shared"
    RunFolder.open(tmp_path / "r").copy_model(folder)
    check_run_folder(folder, "hub:me/toy")
    about = read_json(folder / "run.json")
    about["options"][str(folder)] = 1
    write_json(folder / "run.json", about)
    with pytest.raises(latentia.Error) as caught:
        check_run_folder(folder, "hub:me/toy")
    assert str(caught.value).startswith("hub:me/toy is of another version (")
    assert str(folder) in str(caught.value)
