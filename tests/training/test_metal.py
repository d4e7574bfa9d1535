"""Training on a Mac's GPU, which has no float64; played on the CPU."""

import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from conftest import TOYS
from latentia.api.training import start_run
from latentia.core.errors import Error
from latentia.training.device import find_device
from latentia.training.plan import Options

ON_CPU = {"_coefficients", "draw_balanced_rows", "evenly_spaced_rows"}  # on every device


class RefuseFloat64(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if any(getattr(each, "dtype", None) == torch.float64 for each in tree_leaves(result)):
            frame, names = sys._getframe(1), set()
            while frame:
                names.add(frame.f_code.co_name)
                frame = frame.f_back
            if not names & ON_CPU:
                raise TypeError(f"{function} makes float64, which MPS has not")
        return result


@pytest.mark.parametrize("recipe", ["vaegan", "mnist_gan", "conv_vae"])
def test_nothing_on_the_device_is_of_float64(recipe, array_file, narrow, tmp_path, monkeypatch):
    for module in ("core.tensors", "training.loop"):
        monkeypatch.setattr(f"latentia.{module}.has_float64", lambda device: False)
    knobs = {**TOYS[recipe], "data": array_file}  # of so many steps that the critic acts
    _, events = start_run(recipe, knobs, run=tmp_path / "run", options=Options(precision="fp32"))
    with RefuseFloat64():
        assert len([*events]) > 1


def test_auto_takes_no_gpu_of_a_mac(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device("auto") == torch.device("cpu")
    with pytest.raises(Error, match="--device mps cannot be used here"):
        find_device("mps")
