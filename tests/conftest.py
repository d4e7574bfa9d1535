"""One thread a process (xdist runs one a core), one cache of images a session, and no network.

No result depends on the machine's speed: the cache holds timings by which the precision "auto" is
fp32, in child processes too. `make processors` asks for bf16 (LATENTIA_TEST_PRECISION), and for
other numbers of threads (OMP_NUM_THREADS).

Torch and latentia are imported within functions: xdist's first process, which only distributes
the tests, reads this file too, and the others start after it.
"""

import gc
import os
import sys
from functools import cache as cache_results
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest

import typecheck
from systems import play_system

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process compiles package and tests anew
sys.dont_write_bytecode = False
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # idle threads rest, as in a command
typecheck.install()
gc.set_threshold(20_000)  # by default a tenth of the suite's time goes to searches for cycles
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    import torch

    from latentia.training.precision import LAYERS, LayerTiming, save_timings

    os.environ["LATENTIA_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    use_bf16 = os.environ.get("LATENTIA_TEST_PRECISION") == "bf16"
    timings = dict.fromkeys(LAYERS, LayerTiming(2.0 if use_bf16 else 1.0, 1.0))
    save_timings(timings)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with pytest.MonkeyPatch.context() as patch:  # a test may have a cache of its own
        patch.setattr("latentia.training.precision.measure_timings", lambda: timings)
        yield Path(os.environ["LATENTIA_CACHE"])


def pytest_collection_modifyitems(items):
    """The longest first: a worker that has one left at the end makes the other wait.

    Tests that share what their file makes stay together, or it is made twice.
    """
    longest = "[README.md]", "test_two_processes_are_as_one", "cli/test_shared.py"
    longest += "test_every_feature_of_the_page", "test_a_killed_fit"
    items.sort(key=lambda item: not any(name in item.nodeid for name in longest))


class Reports:
    """Whether a training draws its report, which is three quarters of a toy's time."""

    drawn = False


@pytest.fixture(autouse=True, scope="session")
def _reports():
    """Only a test with the mark `report` trains with reports; its fixtures do not."""
    import latentia.api.run  # noqa: F401  (it keeps the function that `Run.report` draws by)
    from latentia.report.page import write_report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "latentia.report.page.write_report",
            lambda *given: write_report(*given) if Reports.drawn else None,
        )
        yield


@pytest.fixture(autouse=True, scope="session")
def _machine(tmp_path_factory):
    """A machine with 2 GB of free memory and a disk that is always in step.

    What the memory allows depends on no other program. A killed process loses no written byte, so
    that only a power failure, which no test has, would show the difference; calls of `os.fsync` can
    still be counted.
    """
    table = tmp_path_factory.mktemp("machine") / "meminfo"
    table.write_text("MemAvailable: 2000000 kB\nSwapFree: 0 kB\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentia.core.memory.MEMORY_TABLE", table)
        patch.setattr(os, "fsync", os.fstat)  # it has the same argument, and refuses the same
        yield


# what takes most of a report's time, and how little of it a test has without `full_repetitions`
REPETITIONS = {
    "latents.probes.LOGISTIC_STRENGTHS": (1e-1,),  # of 3
    "latents.clusters.REFERENCES": 4,  # of 20
    "latents.clusters.RESAMPLES": 4,  # of 20
}


@pytest.fixture(autouse=True, scope="session")
def published_repetitions():
    """A command's Fréchet distance has 3 of 100 resamples, of 3 s; its function's tests have all.

    Figures are laid out once: the search for places of their words takes half of their time.
    """
    from latentia.metrics.distribution import estimate_frechet_distance
    from latentia.report import figures

    published = {name: resolve_name(f"latentia.{name}") for name in REPETITIONS}
    estimate = partial(estimate_frechet_distance, resamples=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentia.metrics.builtin.estimate_frechet_distance", estimate)
        patch.setitem(figures.STYLE, "figure.constrained_layout.use", False)
        for name, value in REPETITIONS.items():
            patch.setattr(f"latentia.{name}", value)
        yield published


@pytest.fixture
def full_repetitions(published_repetitions, monkeypatch):
    """All of them, for tests of the probes and of the groups themselves."""
    for name, value in published_repetitions.items():
        monkeypatch.setattr(f"latentia.{name}", value)


@pytest.fixture(autouse=True, scope="session")
def _one_table_of_operators():
    """PyTorch lists its ONNX functions and operators anew in each export, for half of its time."""
    from torch.export import exported_program
    from torch.onnx._internal.exporter import _decomp
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    make_table = cache_results(_decomp.create_onnx_friendly_decomposition_table)
    patches = {
        (ONNXRegistry, "from_torchlib"): staticmethod(cache_results(ONNXRegistry.from_torchlib)),
        (exported_program, "_collect_all_valid_cia_ops"): cache_results(
            exported_program._collect_all_valid_cia_ops
        ),
        (_decomp, "create_onnx_friendly_decomposition_table"): lambda operators: make_table(
            frozenset(operators)
        ),
    }
    with pytest.MonkeyPatch.context() as patch:
        for (place, name), made_once in patches.items():
            patch.setattr(place, name, made_once)
        yield


def pytest_collection_finish():
    """What is imported and collected by now stays: no search for cycles visits it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """What a test draws depends on no test before it, and so on no worker's order."""
    import torch

    torch.manual_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """LATENTIA_TEST_SYSTEM=windows plays that system in every test; some need what it lacks."""
    Reports.drawn = item.get_closest_marker("report") is not None
    try:
        with play_system(os.environ.get("LATENTIA_TEST_SYSTEM", "linux")):
            return (yield)
    finally:
        Reports.drawn = False


@pytest.fixture
def mnist():
    """Real MNIST in the hub's layout."""
    if not (SHARED / "mnist").is_dir():
        pytest.skip(f"real images are not at {SHARED / 'mnist'}")
    return str(SHARED / "mnist")


@pytest.fixture
def fresh_registries(monkeypatch):
    """Entries that a test registers, and plugins that it loads, are gone after it."""
    from latentia.core import plugins
    from latentia.core.registries import MODIFIERS, RECIPES
    from latentia.data.sources.registry import DATA_SOURCES
    from latentia.diffusion.registry import SAMPLERS
    from latentia.losses.registry import LIKELIHOODS
    from latentia.metrics.registry import METRICS

    for registry in (RECIPES, MODIFIERS, METRICS, DATA_SOURCES, LIKELIHOODS, SAMPLERS):
        for name in registry.list_builtin_names():  # a file that is imported registers only once
            registry[name]
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(plugins, "_files", [])
    monkeypatch.setattr(plugins, "_failures", {})


# Toy runs: small arrays, small networks, real training.
@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (60, 12, 10), dtype=np.uint8)


@pytest.fixture
def array_file(tmp_path, images):
    np.save(tmp_path / "toy.npy", images)
    return str(tmp_path / "toy.npy")


TOYS = {
    "mnist_mlp_vae": {"hidden": 8, "latent": 3, "batch": 16, "epochs": 3},
    "mnist_iwae": {"hidden": 8, "latent": 3, "batch": 16, "epochs": 3},
    "mnist_hvae": {"hidden": 8, "latent": 3, "batch": 16, "epochs": 3},
    "image_hvae": {"latent": 3, "maps": 1, "width": 4, "batch": 16, "epochs": 3},
    "conv_vae": {"latent": 3, "batch": 16, "epochs": 3},
    "mnist_dcgan": {"latent": 3, "batch": 16, "epochs": 3},
    "mnist_gan": {"latent": 3, "batch": 16, "epochs": 3},
    "vaegan": {
        "latent": 3, "batch": 16, "epochs": 3, "size": "24x20", "adversary_from": 0.1,
    },
    "image_autoencoder": {
        "latent": 2, "width": 4, "batch": 16, "epochs": 3, "size": "24x16", "adversary_from": 0.1,
    },
    "photo_vae": {"latent": 3, "width": 4, "batch": 16, "epochs": 3, "augment": "flip"},
    "pixel_diffusion": {"width": 8, "depth": 1, "batch": 16, "epochs": 3},
    "latent_prior": {"width": 16, "depth": 1, "batch": 16, "epochs": 3},
}  # fmt: skip


@pytest.fixture
def toys():
    """Parameters of a toy training by recipe."""
    return TOYS


def narrow_network(network):
    """The network with an eighth of the channels that a recipe asks for."""

    def make(*given, channels, **more):
        few = channels // 8 if isinstance(channels, int) else [count // 8 for count in channels]
        return network(*given, channels=few, **more)

    return make


@pytest.fixture
def narrow(monkeypatch):
    """GANs and VAE-GANs with few channels: a VAE-GAN's states are of 0.1 MB, not of 76.

    Priors draw in 5 steps: reports draw hundreds of images.
    """
    monkeypatch.setattr("latentia.nets.vaegan.CHANNELS", (4, 4, 8, 8, 8))
    monkeypatch.setattr("latentia.nets.vaegan.UP_CHANNELS", (8, 8, 8, 4, 4))
    networks = "dcgan.DCGenerator", "dcgan.Critic", "gan.ResidualGenerator", "gan.ResidualCritic"
    for name in networks:
        place = f"latentia.recipes.mnist_{name}"
        monkeypatch.setattr(place, narrow_network(resolve_name(place)))
    place = "latentia.models.latent_diffusion.SamplingOptions"
    monkeypatch.setattr(place, partial(resolve_name(place), steps=5))


@pytest.fixture
def trained(tmp_path, narrow):
    """Make and train a run; `stop` ends it after so many events, or once it holds of the run, as a
    kill would.
    """
    from latentia.api.training import start_run

    def make(name, recipe, knobs, stop=None, **how):
        run, events = start_run(recipe, knobs, run=tmp_path / name, **how)
        for count, _ in enumerate(events, 1):
            if count == stop or (callable(stop) and stop(run)):
                break
        return run

    return make


@pytest.fixture
def toy(array_file, trained):
    import latentia

    def make(name, recipe="mnist_mlp_vae", stop=None, options=None, **knobs):
        options = options or latentia.Options(log_every=2, save_every=2)
        knobs = {**TOYS[recipe], "data": array_file, **knobs}
        return trained(name, recipe, knobs, stop, options=options)

    return make
