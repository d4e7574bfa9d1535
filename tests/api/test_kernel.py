"""A notebook that a real kernel runs: progress in place, an interrupt, and going on in a cell."""

import os
import threading
import time

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = {
    "train": """
import numpy as np, latentia
X = np.random.default_rng(0).integers(0, 256, (60, 12, 10), dtype=np.uint8)
small = {"hidden": 8, "latent": 2, "batch": 16, "threads": 1, "log_every": 1}
run = latentia.train("mnist_mlp_vae", X, run="first", epochs=200, **small)
""",
    "interrupted": """
latentia.train("mnist_mlp_vae", X, run="second", epochs=20000, save_every=10**6, **small)
""",
    "resumed": """
import json, pathlib
step = latentia.load("second").log["step"].max()
assert not latentia.load("second").is_complete
metadata = pathlib.Path("second/run.json")
shorter = json.loads(metadata.read_text())  # or it takes minutes
shorter["arguments"]["epochs"] = int(step) // 3 + 5
metadata.write_text(json.dumps(shorter))
resumed = latentia.resume("second", X)
assert resumed.is_complete
assert resumed.log["step"].is_monotonic_increasing
resumed.log["step"].max() - step
""",
    "table": 'run.encode("test")',
    "picture": "run.plot_samples(4)",
    "run": "run",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of every cell; the second is interrupted in mid-training."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.allow_errors = True

    def interrupt():
        while not (folder / "second" / "timing.jsonl").exists():
            time.sleep(0.05)
        time.sleep(0.5)
        client.km.interrupt_kernel()

    threading.Thread(target=interrupt, daemon=True).start()
    client.execute(env=dict(os.environ))
    return dict(zip(CELLS, [cell.outputs for cell in notebook.cells], strict=True))
