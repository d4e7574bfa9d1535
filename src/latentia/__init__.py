"""Learn the hidden variables of a set of images and draw new images from them.

Train a recipe on images, and use the run that it returns:

    run = latentia.train("conv_vae", images, epochs=5)  # an array, a folder, a file or a data set
    run.encode()  # a pandas.DataFrame: latents, rate (KL), distortion and labels of each image
    run.sample(16)  # new images (16, c, h, w) in [0, 1]
    run.plot_reconstructions()  # a picture
    run.evaluate("elbo", "fd")  # metrics, each with its n, interval and split
    run.diagnose()  # problems, and suggested commands
    run = latentia.load(run.path)

`latentia.list_recipes()` names the recipes, `help(latentia.find_recipe("conv_vae"))` shows the
parameters of one, and `help(latentia.Run)` all that a run does.
"""

import importlib
from pathlib import Path
from typing import Any

# lines "from MODULE import NAME as NAME"
_STUB_LINES = Path(__file__).with_suffix(".pyi").read_text("utf-8").splitlines()
_HOMES = {line.split()[-1]: line.split()[1] for line in _STUB_LINES if line.startswith("from ")}
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: `latentia --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentia' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
