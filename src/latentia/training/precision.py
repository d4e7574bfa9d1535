"""Number format of the networks: float32, or bfloat16 where it is measured to be faster."""

import math
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.core.seeding import restore_global_generators
from latentia.data.cache import cache_root, make_key
from latentia.training.checkpoint import read_json, write_json
from latentia.training.device import use_threads

Precision = Literal["bf16", "fp32"]
MIN_SPEEDUP = 1.2  # a smaller gain does not pay for the rounding
MIN_PASSES, MEASURING_SECONDS = 14, 0.08  # of each layer
# CPU time, since other work on the machine does not count; Windows counts it in steps of 16 ms
read_clock = time.perf_counter if sys.platform == "win32" else time.thread_time
PRODUCT, CONVOLUTION = "product", "convolution"
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class LayerTiming(NamedTuple):
    """Milliseconds of a layer's forward and backward pass on one thread, in each number format."""

    fp32: float
    bf16: float

    @property
    def speedup(self) -> float:
        return self.fp32 / self.bf16

    @property
    def choice(self) -> Precision:
        """The number format that "auto" takes."""
        return "bf16" if self.speedup >= MIN_SPEEDUP else "fp32"


Timings = dict[str, LayerTiming]


def find_precision(name: str, device: torch.device, model: Model) -> Precision:
    """Return the number format of --precision for a model on this device."""
    if name != "auto":
        return "bf16" if name == "bf16" else "fp32"
    if device.type == "cpu":
        return get_timings()[find_layer_kind(model)].choice
    return "bf16" if has_bf16(device) else "fp32"


def has_bf16(device: torch.device) -> bool:
    """Whether a GPU multiplies bfloat16 in hardware (Ampere and later)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def find_layer_kind(model: Model) -> str:
    """Return the kind of layer that takes most of a training step."""
    modules = (module for player in model.players().values() for module in player.module.modules())
    return CONVOLUTION if any(isinstance(each, CONVOLUTIONS) for each in modules) else PRODUCT


def get_timings() -> Timings:
    """Return the timings of this processor, measured once."""
    timings = load_timings()
    if timings is None:
        timings = measure_timings()
        save_timings(timings)
    return timings


def load_timings() -> Timings | None:
    """Load the timings in the cache. None: missing or damaged."""
    try:
        milliseconds = read_json(timings_path())["milliseconds"]
        timings = {kind: LayerTiming(**milliseconds[kind]) for kind in LAYERS}
        is_whole = all(0 < value < math.inf for timing in timings.values() for value in timing)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return timings if is_whole else None


def save_timings(timings: Timings) -> None:
    """Keep timings in the cache, if it can be written."""
    milliseconds = {kind: timing._asdict() for kind, timing in timings.items()}
    with suppress(OSError, Error):
        timings_path().parent.mkdir(parents=True, exist_ok=True)
        write_json(timings_path(), {**describe_processor(), "milliseconds": milliseconds})


def timings_path() -> Path:
    return cache_root() / "precision" / f"{make_key(*describe_processor().values())}.json"


def describe_processor() -> dict[str, str]:
    """Return everything that the timings depend on."""
    return {
        "device": "cpu",
        "processor": find_processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def find_processor_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def measure_timings() -> Timings:
    """Time each kind of layer on one thread: several would wait for the one that is disturbed."""
    with use_threads(1), restore_global_generators(), torch.enable_grad():
        return {kind: time_layer(*make()) for kind, make in LAYERS.items()}


def make_convolution() -> tuple[nn.Module, Tensor]:
    layer, x = nn.Conv2d(32, 64, 3, stride=2, padding=1), torch.rand(128, 32, 14, 14)
    return layer.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)  # pyright: ignore


# a layer of each kind and a batch for it: the first of `mnist_mlp_vae`, the second of
# `mnist_conv_vae`
LAYERS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    PRODUCT: lambda: (nn.Linear(784, 400), torch.rand(128, 784)),
    CONVOLUTION: make_convolution,
}


def time_layer(layer: nn.Module, x: Tensor) -> LayerTiming:
    """Time both number formats alternately, so that a change of the clock rate concerns both."""
    passes, end = [], time.perf_counter() + MEASURING_SECONDS
    while len(passes) < MIN_PASSES or time.perf_counter() < end:
        passes.append([time_pass(layer, x, use_bf16) for use_bf16 in (False, True)])
    # the best: everything that disturbs a pass, the first one's start included, makes it longer
    return LayerTiming(*(round(1000 * min(seconds), 4) for seconds in zip(*passes, strict=True)))


def time_pass(layer: nn.Module, x: Tensor, use_bf16: bool) -> float:
    """Return the seconds of one forward and backward pass."""
    start = read_clock()
    with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16):
        # a scalar: gradients of a given tensor import PyTorch's compiler, for half a second
        loss = layer(x.requires_grad_()).sum(dtype=torch.float32)
    torch.autograd.grad(loss, [x, *layer.parameters()])
    return read_clock() - start
