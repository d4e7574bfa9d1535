"""What does not fit into memory is refused before it is allocated, and nothing is left behind."""

import json

import pytest
import torch
from torch import nn

import latentia
from latentia.core.memory import AllocationGuard, check_memory, find_available_memory
from latentia.metrics.evaluation import Evaluation
from latentia.metrics.measure import measure_metrics
from latentia.metrics.registry import METRICS


def test_beyond_the_limit_tensors_take_no_memory():
    with AllocationGuard(1000) as guard:
        small, large = nn.Linear(4, 4), nn.Linear(10**9, 10**9)
    assert small.weight.device.type == "cpu"
    assert large.weight.device.type == "meta"
    assert guard.is_exceeded
    assert nn.Linear(2, 2).weight.device.type == "cpu"


def test_a_guard_changes_no_number():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(5, 7), nn.Conv2d(2, 3, 3))
    torch.manual_seed(0)
    with AllocationGuard(find_available_memory()) as guard:
        guarded = nn.Sequential(nn.Linear(5, 7), nn.Conv2d(2, 3, 3))
    assert not guard.is_exceeded
    for one, other in zip(plain.parameters(), guarded.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_sentence_says_what_is_needed_and_what_there_is():
    with pytest.raises(latentia.Error, match=r"^X needs 9.0 GB of memory, and 1.0 GB are free"):
        check_memory(9e9, "X", "lower it", 1e9)
    check_memory(1e9, "X", "lower it", 1e9)


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [
        ("mnist_mlp_vae", {"latent": 10**8}),
        ("mnist_mlp_vae", {"hidden": 10**10}),
        ("mnist_mlp_vae", {"hidden": 2**62}),
        ("mnist_mlp_vae", {"hidden": 10**30}),
        ("mnist_mlp_vae", {"latent": float("nan")}),
        ("mnist_mlp_vae", {"lr": float("inf")}),
        ("mnist_mlp_vae", {"beta": -1.0}),
        ("mnist_mlp_vae", {"iwae": 10**9}),
        ("mnist_mlp_vae", {"threads": 10**6}),
        ("mnist_mlp_vae", {"seed": -1}),
        ("conv_vae", {"size": 10**5}),
        ("conv_vae", {"size": "1e400x3"}),
        ("mnist_dcgan", {"latent": 10**12}),
        ("vaegan", {"latent": 10**9, "size": 64}),
    ],
)
def test_absurd_sizes_leave_nothing_behind(recipe, parameters, tmp_path):
    with pytest.raises(latentia.Error):
        latentia.train(recipe, "digits:20", run=tmp_path / "run", progress=False, **parameters)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("hidden", [10**6, 10**15])
def test_a_run_that_asks_for_far_more_than_its_weights_takes_no_memory(tmp_path, hidden):
    """An edited run.json; 10**6 units would take 6 GB, which may be free."""
    train = {"epochs": 1, "hidden": 8, "latent": 2, "progress": False}
    run = latentia.train("mnist_mlp_vae", "digits:40", run=tmp_path / "run", **train)
    path = run.path / "run.json"
    content = json.loads(path.read_text())
    content["arguments"]["hidden"] = hidden
    path.write_text(json.dumps(content))
    latentia.make_checksums(run.path)
    error = r"no longer fits its recipe: a model of more than 0\.\d GB is not that of weights"
    with pytest.raises(latentia.Error, match=error):
        latentia.load(run.path).model.encode(torch.zeros(1, 1, 28, 28))


def test_results_before_a_failure_are_kept(monkeypatch):
    class Metric:
        distributed = True

        def __init__(self, results):
            self.results = results

        def measure(self, evaluation):
            if self.results is None:
                raise KeyboardInterrupt
            return self.results

    entries = {"a": Metric([]), "b": Metric(None)}
    monkeypatch.setattr(type(METRICS), "__getitem__", lambda self, name: entries[name])
    result = {}
    with pytest.raises(KeyboardInterrupt):
        measure_metrics(Evaluation.__new__(Evaluation), ["a", "b"], result)
    assert result == {"metrics": {"a": []}}
