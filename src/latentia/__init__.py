"""Learn the hidden variables of a set of images and draw new images from them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentia.api.training import load, resume, train
    from latentia.core.errors import Error
    from latentia.core.plugins import load_plugin
    from latentia.core.registries import modifier, recipe
    from latentia.data.sources.registry import data_source
    from latentia.diffusion.registry import sampler
    from latentia.losses.registry import likelihood
    from latentia.metrics.registry import metric
    from latentia.runs.folder import RunFolder as Run
    from latentia.training.optimizers import Adam
    from latentia.training.plan import Options, Plan

__all__ = [
    "Adam",
    "Error",
    "Options",
    "Plan",
    "Run",
    "data_source",
    "likelihood",
    "load",
    "load_plugin",
    "metric",
    "modifier",
    "recipe",
    "resume",
    "sampler",
    "train",
]

_HOMES = {
    "Adam": "training.optimizers:Adam",
    "Error": "core.errors:Error",
    "Options": "training.plan:Options",
    "Plan": "training.plan:Plan",
    "Run": "runs.folder:RunFolder",
    "data_source": "data.sources.registry:data_source",
    "likelihood": "losses.registry:likelihood",
    "load": "api.training:load",
    "load_plugin": "core.plugins:load_plugin",
    "metric": "metrics.registry:metric",
    "modifier": "core.registries:modifier",
    "recipe": "core.registries:recipe",
    "resume": "api.training:resume",
    "sampler": "diffusion.registry:sampler",
    "train": "api.training:train",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: `latentia --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentia' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"latentia.{module}"), attribute)
