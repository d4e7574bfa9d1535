"""A notebook that a real kernel runs: progress in place, an interrupt, and going on in a cell."""

import asyncio
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
run = latentia.train("mnist_mlp_vae", X, run="first", epochs=10, **small)
""",
    "interrupted": """
latentia.report.page.write_report = lambda *_: None  # one report is enough
latentia.train("mnist_mlp_vae", X, run="second", epochs=20000, save_every=10**6, **small)
""",
    "resumed": """
step = latentia.load("second").log["step"].max()
assert not latentia.load("second").is_complete
resumed = latentia.resume("second", X, epochs=int(step) // 3 + 5)  # 20,000 would take minutes
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
        asyncio.run(client.km.interrupt_kernel())

    threading.Thread(target=interrupt, daemon=True).start()
    client.execute(env=dict(os.environ))
    return dict(zip(CELLS, [cell.outputs for cell in notebook.cells], strict=True))


def find_displays(outputs):
    return [each["data"]["text/plain"] for each in outputs if each["output_type"] == "display_data"]


def find_text(outputs):
    return "".join(each["text"] for each in outputs if each["output_type"] == "stream")


def test_progress_is_one_output_that_is_rewritten(outputs):
    (display,) = find_displays(outputs["train"])
    step, validation = display.splitlines()
    assert step.startswith("first: step 30/30  ")
    assert validation.startswith("epoch 10  validation (4 images")
    text = find_text(outputs["train"])
    assert "step " not in text.replace("few steps", "")
    assert "first/report.html" in text
    assert "WARNING few steps" in text  # findings stay


def test_an_interrupted_kernel_goes_on_in_the_next_cell(outputs):
    (problem,) = [each for each in outputs["interrupted"] if each["output_type"] == "error"]
    assert problem["ename"] == "KeyboardInterrupt"
    assert 'saved; latentia.resume("second", data) goes on.' in problem["evalue"]
    (display,) = find_displays(outputs["interrupted"])
    assert "min left" in display or " s left" in display
    assert [each for each in outputs["resumed"] if each["output_type"] == "error"] == []
    (display,) = find_displays(outputs["resumed"])
    assert display.startswith("second: step ")


def test_tables_and_pictures_are_inline(outputs):
    (table,), (picture,), (run,) = (outputs[name] for name in ("table", "picture", "run"))
    assert "<table" in table["data"]["text/html"]
    assert picture["data"]["image/png"]
    assert "data:image/png;base64" in run["data"]["text/html"]
