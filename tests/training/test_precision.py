"""The precision "auto" is what a timing of this machine says, once; a run keeps it."""

import json

import pytest
import torch

from latentia import Options
from latentia.losses.likelihoods import Bernoulli
from latentia.models.vae import VAE
from latentia.nets.mlp import MLPDecoder, MLPEncoder
from latentia.runs.folder import RunFolder
from latentia.training import precision
from latentia.training.loop import Loop
from latentia.training.precision import (
    CONVOLUTION,
    LAYERS,
    PRODUCT,
    LayerTiming,
    find_precision,
    get_timings,
    load_timings,
    save_timings,
    timings_path,
)

CPU = torch.device("cpu")
MEASURE = precision.measure_timings  # other tests have fixed timings


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(precision, "measure_timings", MEASURE)
    monkeypatch.setattr(precision, "MIN_PASSES", 2)  # how exact the timings are is not tested
    monkeypatch.setattr(precision, "MEASURING_SECONDS", 0.0)


@pytest.fixture
def no_measuring(monkeypatch):
    monkeypatch.setattr(precision, "measure_timings", lambda: pytest.fail("measured again"))


def plant(product, convolution):
    """Timings by which bf16 is so many times as fast."""
    save_timings({PRODUCT: LayerTiming(product, 1.0), CONVOLUTION: LayerTiming(convolution, 1.0)})


def perceptron():
    shape = (1, 8, 8)
    return VAE(MLPEncoder(shape, 3, (8,)), MLPDecoder(3, shape, (8,)), Bernoulli())


def convolutional():
    model = perceptron()
    model.encoder.stem = torch.nn.Conv2d(1, 4, 3)
    return model


@pytest.mark.parametrize(
    ("product", "convolution", "expected"),
    [
        (1.19, 1.21, ("fp32", "bf16")),
        (1.21, 1.19, ("bf16", "fp32")),
        (1.2, 0.5, ("bf16", "fp32")),
        (1.0, 1.0, ("fp32", "fp32")),
    ],
)
def test_bf16_is_taken_where_the_models_own_kind_of_layer_is_1_2_times_as_fast(
    own_cache, no_measuring, product, convolution, expected
):
    plant(product, convolution)
    models = perceptron(), convolutional()
    assert tuple(find_precision("auto", CPU, model) for model in models) == expected
    for model in models:
        assert find_precision("bf16", CPU, model) == "bf16"
        assert find_precision("fp32", CPU, model) == "fp32"


def test_a_machine_is_measured_once_for_each_version_of_torch(own_cache, monkeypatch):
    assert load_timings() is None
    first = get_timings()
    assert first.keys() == LAYERS.keys()
    assert all(0 < value < 10_000 for timing in first.values() for value in timing)
    stored = json.loads(timings_path().read_text())
    assert stored["torch"] == torch.__version__
    assert stored["milliseconds"][PRODUCT]["fp32"] == first[PRODUCT].fp32
    monkeypatch.setattr(precision, "measure_timings", lambda: pytest.fail("measured again"))
    assert get_timings() == first
    monkeypatch.setattr(torch, "__version__", "99")
    assert load_timings() is None


def test_measuring_draws_no_random_number_of_the_user(own_cache):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    get_timings()
    assert torch.equal(torch.rand(3), expected)


def broken(value):
    milliseconds = {kind: {"fp32": 1, "bf16": value} for kind in LAYERS}
    return json.dumps({"milliseconds": milliseconds})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"milliseconds": [1]}',
        '{"milliseconds": {"product": {"fp32": 1, "bf16": 1}}}',
        '{"milliseconds": {"product": {"fp32": 1}, "convolution": {"fp32": 1}}}',
        *map(broken, (0, -1, float("nan"), float("inf"), None, "1")),
    ],
)
def test_a_damaged_file_of_the_cache_is_measured_anew(own_cache, monkeypatch, content):
    timings_path().parent.mkdir(parents=True)
    timings_path().write_text(content)
    anew = dict.fromkeys(LAYERS, LayerTiming(3.0, 1.0))
    monkeypatch.setattr(precision, "measure_timings", lambda: anew)
    assert get_timings() == anew
    assert load_timings() == anew


def test_a_cache_that_cannot_be_written_costs_no_training(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "file"))
    anew = dict.fromkeys(LAYERS, LayerTiming(3.0, 1.0))
    monkeypatch.setattr(precision, "measure_timings", lambda: anew)
    assert toy("a", epochs=1).options.precision == "bf16"


def test_a_resumed_run_keeps_its_precision_whatever_the_cache_says(toy, own_cache, no_measuring):
    plant(1.0, 1.0)
    run = toy("a", stop=3)
    assert run.options.precision == "fp32"
    assert run.metadata["auto_options"] == ["precision", "threads"]
    plant(9.0, 9.0)
    run = RunFolder.open(run.path)
    loop = Loop(run.plan(), run, run.options)
    assert loop.state.step > 0
    assert not loop.autocast._enabled
    assert toy("b", stop=1).options.precision == "bf16"


def test_a_precision_that_was_named_is_no_choice_of_the_machine(toy):
    run = toy("a", stop=1, options=Options(precision="bf16", threads=1))
    assert run.metadata["auto_options"] == []
    assert run.metadata["options"]["precision"] == "bf16"


def test_processes_follow_the_first(toy, monkeypatch):
    run = toy("a", stop=1)
    options = Options(threads=1)
    gather = "latentia.training.loop.distributed.all_gather_objects"
    for first in ("bf16", "fp32"):
        monkeypatch.setattr(gather, lambda own, first=first: [first, own])
        assert Loop(run.plan(), run, options).autocast._enabled == (first == "bf16")


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "bf16")])
def test_a_gpu_is_asked_for_its_capability(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert find_precision("auto", torch.device("cuda"), perceptron()) == expected
    assert find_precision("auto", torch.device("mps"), perceptron()) == "fp32"
