"""Linux, macOS and Windows: each, played on Linux, goes the way of a user with the same bytes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import systems
from cli.toys import TRAIN
from latentia.cli.main import main

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the other systems are not played")
WORDS = [*TRAIN, "--epochs", "4", "--save-every", "2", "--precision", "fp32"]
LETTERS = "größe ≥ 3"  # of which cp1252 lacks one


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """24 images in two classes, whose names are not of ASCII."""
    folder = tmp_path_factory.mktemp("systems") / "photos"
    draw = np.random.default_rng(0)
    for k in range(24):
        path = folder / (LETTERS if k % 2 else "klein") / f"{k:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (12, 10), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def whole(photos):
    """A run of this system that nothing interrupts."""
    words = ["train", "mnist_mlp_vae", "--data", str(photos), *WORDS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentia.report.page.write_report", lambda *_: None)
        assert main([*words, "--run", str(photos.parent / "whole")]) == 0
    return photos.parent / "whole"


def latentia(*words):
    code = main([*map(str, words)])
    assert code == 0


def explore(run):
    from starlette.testclient import TestClient

    from latentia.explorer.routes import create_application
    from latentia.explorer.session import RunSession
    from latentia.explorer.worker import Worker

    worker = Worker()
    session = RunSession.open(str(run), None, "all", worker)
    session.load_latents()
    client = TestClient(create_application([session], worker), base_url="http://127.0.0.1:8000")
    runs = client.get("/api/runs").json()["runs"]
    assert runs[0]["columns"] == {"label": [LETTERS, "klein"]}
    assert client.post("/api/sample", json={"n": 2}).status_code == 200


@pytest.mark.report
@linux_only
@pytest.mark.parametrize("system", ["macos", "windows"])
def test_each_system_goes_the_whole_way(system, photos, whole, tmp_path, monkeypatch, capfd):
    """Train, kill, resume, extend, sample, encode, report, explore and sweep."""
    run, cache = tmp_path / LETTERS, tmp_path / "cache"
    monkeypatch.setenv("LATENTIA_CACHE", str(cache))
    train = ["train", "mnist_mlp_vae", "--data", str(photos), *WORDS]
    encoding = "cp1252" if system == "windows" else "utf-8"
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    killed = subprocess.run(
        [sys.executable, systems.__file__, system, *train, "--run", str(run)],
        env=environment, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == 9, killed.stderr.decode()
    assert len((run / "log.jsonl").read_bytes()) < len((whole / "log.jsonl").read_bytes())
    assert len(list((cache / "images").glob("*/about.json"))) == 1
    systems.full_syncs.clear()
    with systems.play_system(system):
        latentia("resume", run)
        for name in ("weights.safetensors", "log.jsonl"):
            assert (run / name).read_bytes() == (whole / name).read_bytes()
        latentia("sample", run, "-n", 4, "--out", tmp_path / "s.png")
        latentia("sample", run, "-n", 4, "--out", f"{tmp_path}/folder/")
        for suffix in ("csv", "npz", "tsv", "parquet"):
            latentia("encode", run, "--out", tmp_path / f"z.{suffix}")
        assert "\r" not in (tmp_path / "z.csv").read_bytes().decode()
        latentia("evaluate", run, "--json")
        latentia("doctor", run, "--table", tmp_path / "t.csv")
        assert "\r" not in (tmp_path / "t.csv").read_bytes().decode()
        latentia("report", run)
        explore(run)
        latentia("resume", run, "--epochs", 5)
        monkeypatch.setattr("latentia.report.page.write_report", lambda *_: None)
        over = ["--over", "beta=1,2", "--trials", "2", "--out", tmp_path / "sweep"]
        latentia("sweep", *train[1:], *over)
    assert bool(systems.full_syncs) == (system == "macos")
    assert (run / "evaluation-4-epochs.json").exists()
    assert LETTERS in (tmp_path / "z.csv").read_text("utf-8")
    names = [path for path in tmp_path.rglob("*") if path.suffix in (".part", ".tmp")]
    assert names == []
