"""A tiny digits_vae, a prior over it by label, a GAN; served here or by the command."""

import json
import os
import re
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.cli.main import main
from latentia.data import open_images
from latentia.explorer.routes import create_application
from latentia.explorer.security import SecurityMiddleware
from latentia.explorer.server import make_server, open_listener
from latentia.explorer.session import RunSession
from latentia.explorer.worker import Worker
from latentia.training.checkpoint import read_json, write_json


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Four runs in runs/, whose images can be found; `lost`, whose images cannot."""
    folder = tmp_path_factory.mktemp("explorer")
    photos(folder)
    data = ["--data", str(folder / "photos")]
    quick = ["--batch", "32", "--log-every", "20", "--epochs"]
    vae = ["train", "digits_vae", *data, "--latent", "4", "--beta", "0.1", *quick, "6"]
    assert main([*vae, "--run", str(folder / "vae")]) == 0
    prior = ["train", "latent_prior", "--autoencoder", str(folder / "vae"), "--cond", "label"]
    prior += ["--width", "16", "--depth", "1", *quick, "2", "--run", str(folder / "prior")]
    assert main(prior) == 0
    gan = ["train", "mnist_gan", *data, "--latent", "3", "--epochs", "1", "--batch", "64"]
    assert main([*gan, "--run", str(folder / "gan")]) == 0
    many = [
        "train",
        "digits_vae",
        *data,
        "--latent",
        "4",
        "--beta",
        "1",
        "--multirate",
        "0.1:4",
        *quick,
        "6",
    ]
    assert main([*many, "--lr", "0.003", "--run", str(folder / "many")]) == 0
    lost = folder / "lost"
    lost.mkdir()
    text = json.dumps(read_json(folder / "vae" / "run.json")).replace("/photos", "/gone")
    write_json(lost / "run.json", json.loads(text))
    (lost / "weights.safetensors").write_bytes((folder / "vae/weights.safetensors").read_bytes())
    return folder


def photos(folder):
    """300 digits in folders of their class, and all of them as an array in the order of listing."""
    batch = open_images("digits", size=32).split("all").get_batch(slice(0, 300))
    arrays = (batch.image[:, 0] * 255).round().to(torch.uint8).numpy()
    labels = batch.columns["label"].numpy()
    order = np.argsort(labels, kind="stable")
    np.save(folder / "order.npy", arrays[order])
    for k in order:
        path = folder / "photos" / str(labels[k]) / f"{k:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(arrays[k]).save(path)


@pytest.fixture
def served(place):
    """A client of the application on these runs, all read."""
    from starlette.testclient import TestClient

    def make(*names, read=True, host="127.0.0.1", token=None, data=None, **files):
        worker = Worker()
        runs = [RunSession.open(str(place / name), data, "all", worker) for name in names]
        for run in runs if files else ():
            run.open_split(**files)
        for run in runs if read else ():
            run.load_latents()
        app = SecurityMiddleware(create_application(runs, worker), host, token)
        return TestClient(app, base_url=f"http://{host}:8000")

    return make


@contextmanager
def serve(place, *names):
    """The explorer at an address: in a thread, which is there at once."""
    worker = Worker()
    runs = [RunSession.open(str(place / name), None, "all", worker) for name in names]
    for run in runs:
        run.load_latents()
    app = SecurityMiddleware(create_application(runs, worker), "127.0.0.1")
    listener = open_listener("127.0.0.1", [0])
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def live(place):
    """The explorer at an address, for a browser, or for clients that change its settings."""
    with ExitStack() as stack:
        yield lambda *names: stack.enter_context(serve(place, *names))


@pytest.fixture(scope="module")
def address(place):
    """One explorer for all tests of a file that only ask it."""
    with serve(place, "vae") as address:
        yield address


@pytest.fixture
def command(place):
    """`latentia explore` in a process of its own, a fork; ended with the test."""
    started = []

    def explore(words, out):
        os.chdir(place)
        with (
            os.fdopen(out, "w") as sys.stdout,
            open(os.devnull, "w", encoding="utf-8") as sys.stderr,
        ):
            main(["explore", *map(str, words)])

    def start(*words):
        read, write = os.pipe()
        process = get_context("fork").Process(target=explore, args=(words, write))
        with warnings.catch_warnings():  # a browser's threads, which the server does not need
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        started.append(process)
        os.close(write)
        with os.fdopen(read) as lines:
            line = lines.readline()
        assert re.match(r"http://\S+:\d+/", line), line
        return process, line.strip()

    yield start
    for process in started:
        process.kill()
        process.join()
