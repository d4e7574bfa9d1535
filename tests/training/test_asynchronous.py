"""Training on a GPU, which computes while Python goes on; played on the CPU."""

import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentia.api.training import start_run
from latentia.core.seeding import derive_seed
from latentia.models.vae import VAE
from latentia.training import replay
from latentia.training.events import Finding
from latentia.training.loop import Loop
from latentia.training.plan import Options

aten = torch.ops.aten
# results whose size or value Python must know
WAITING = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten._unique2}
MAY_WAIT = {"draw_order", "check_steps"}  # once an epoch, and before a row of the log or a save
FILES = "weights.safetensors", "log.jsonl"


def refuse_in_step():
    frame, names = sys._getframe(1), set()
    while frame:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    if "train_step" in names and not names & MAY_WAIT:
        raise AssertionError("a step waits for the device")


class RefuseWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kind = function.overloadpacket
        indices = tree_leaves(args[1:]) if kind in (aten.index, aten.index_put_) else ()
        by_mask = any(getattr(each, "dtype", None) == torch.bool for each in indices)
        if kind in WAITING or by_mask:
            refuse_in_step()
        return function(*args, **(kwargs or {}))


@pytest.fixture
def play_gpu(monkeypatch):
    """Call it, and trainings go on as on a GPU: inside it no step may wait."""

    def check_first(method):
        def call(*given, **more):
            refuse_in_step()
            return method(*given, **more)

        return call

    def play():
        monkeypatch.setattr("latentia.training.loop.is_asynchronous", lambda device: True)
        for name in ("cpu", "numpy", "tolist"):
            monkeypatch.setattr(Tensor, name, check_first(getattr(Tensor, name)))
        return RefuseWaiting()

    return play


def read_bits(run):
    return [(run.path / name).read_bytes() for name in FILES]


MODIFIERS = {"multirate": "0.1:4", "supervise": "label"}
RECIPES = (
    *("mnist_mlp_vae", "mnist_iwae", "mnist_hvae", "conv_vae", "mnist_dcgan", "mnist_gan"),
    *("vaegan", "image_autoencoder", "image_hvae", "photo_vae", "latent_prior"),
)


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_step_waits_and_the_bits_are_those_of_steps_that_do(toy, recipe, play_gpu):
    knobs = {"photo_vae": {"features": "none"}}.get(recipe, {})
    if recipe == "latent_prior":
        knobs = {"autoencoder": toy("vae").path}
    waiting = toy("waiting", recipe, **knobs)
    with play_gpu():
        assert read_bits(toy("other", recipe, **knobs)) == read_bits(waiting)


def test_nor_does_a_step_with_labels_and_a_beta_for_each_image(tmp_path, toys, play_gpu):
    knobs = {**toys["mnist_mlp_vae"], "data": "digits:60"}
    modifiers = {name: {name: value} for name, value in MODIFIERS.items()}
    options = Options(log_every=2)

    def train(name):
        run, events = start_run(
            "mnist_mlp_vae", knobs, modifiers=modifiers, run=tmp_path / name, options=options
        )
        list(events)
        return read_bits(run)

    waiting = train("waiting")
    with play_gpu():
        assert train("other") == waiting


def test_what_is_not_finite_is_named_later_as_it_is_at_once(
    array_file, toys, tmp_path, monkeypatch, play_gpu
):
    """No parameter changes after such a step, so that it can be taken again."""
    honest, findings = VAE.terms, []

    def poisoned(self, batch, context, shared=None):
        terms = honest(self, batch, context, shared)
        if context.step == 4 and not findings:
            factor = torch.ones(len(batch.image))
            factor[3] = float("nan")  # of the gradient too
            terms["rate"] = terms["rate"]._replace(value=factor * terms["rate"].value)
        return terms

    def train(name):
        findings.clear()
        options = Options(log_every=6, save_every=50)
        run, events = start_run("mnist_mlp_vae", knobs, options=options, run=tmp_path / name)
        for event in events:
            if isinstance(event, Finding) and event.kind == "non-finite":
                findings.append(event.text)
        return findings[0], read_bits(run)

    monkeypatch.setattr(VAE, "terms", poisoned)
    knobs = {**toys["mnist_mlp_vae"], "data": array_file, "epochs": 6}
    waiting = train("waiting")
    assert waiting[0].startswith("Step 4: rate is not finite in 1 of 16 images (rows 3); back to")
    with play_gpu():
        assert train("other") == waiting


class PlayedGraph(replay.StepGraph):
    """A graph on the CPU: each replay computes the captured step again, as it was recorded."""

    made: ClassVar[list["PlayedGraph"]] = []

    def capture(self, compute):
        self.compute, self.results = compute, {}
        ignore = lambda generator: None  # noqa: E731
        self.graph = SimpleNamespace(replay=self.launch, register_generator_state=ignore)
        self.made.append(self)

    def launch(self):
        before, self.reads = self.reads, []
        self.known = iter([*self.generators]), iter([*self.numbers])
        self.results.update(replay.detach_results(self.compute(self.inputs, self.recorded)))
        assert not self.replays or [v for _, v in before] == [v for _, v in self.reads]

    def make_generator(self, seed, purpose, device):
        if not self.replays:  # what a capture leaves to the replay after it
            generator = super().make_generator(seed, purpose, device)
            return generator.manual_seed(derive_seed(seed, purpose, self.context.step))
        *address, generator = next(self.known[0])
        assert address == [seed, purpose]
        return generator

    def number(self, function):
        return (
            next(self.known[1])[1]
            if self.replays
            else super().number(function).fill_(function(self.context))
        )


@pytest.fixture
def play_graphs(monkeypatch):
    """Call it, and trainings go on with graphs; the result is a list of them."""

    class PlayedReplay(replay.StepReplay):
        def can_capture(self):
            return True

    def reset(loop):
        honest(loop)
        loop.replay = PlayedReplay(loop.compute_step, loop.plan.model, loop.device)

    honest = Loop.reset_failed_steps

    def play():
        monkeypatch.setattr(PlayedGraph, "made", [])
        monkeypatch.setattr(replay, "StepGraph", PlayedGraph)
        monkeypatch.setattr(Loop, "reset_failed_steps", reset)
        return PlayedGraph.made

    return play


@pytest.mark.parametrize("recipe", RECIPES)
def test_steps_that_a_graph_replays_have_the_bits_of_others(toy, recipe, play_graphs):
    knobs = {"photo_vae": {"features": "none"}}.get(recipe, {})
    if recipe == "latent_prior":
        knobs = {"autoencoder": toy("vae").path}
    knobs = {"epochs": 5, **knobs}
    plain = read_bits(toy("plain", recipe, **knobs))
    graphs = play_graphs()
    assert read_bits(toy("replayed", recipe, **knobs)) == plain
    if recipe == "mnist_dcgan":  # its masks of dropout come from one generator
        assert not graphs
    else:
        assert sum(graph.replays for graph in graphs) > len(graphs) > 0


def test_a_graph_is_replayed_only_where_python_reads_the_same(toy, play_graphs):
    """A critic that joins late and acts at every second step, and penalties at some of those."""
    knobs = {"epochs": 16, "adversary_from": 0.3, "adversary_every": 2}
    plain = read_bits(toy("plain", "vaegan", **knobs))
    graphs = play_graphs()
    assert read_bits(toy("replayed", "vaegan", **knobs)) == plain
    assert len(graphs) > 1


def test_a_step_whose_number_the_model_uses_is_not_captured(toy, play_graphs, monkeypatch):
    def terms(self, batch, context, shared=None):
        assert context.step >= 0
        return honest(self, batch, context, shared)

    honest = VAE.terms
    monkeypatch.setattr(VAE, "terms", terms)
    plain = read_bits(toy("plain", epochs=8))
    play_graphs()
    captures = []

    def capture(graph, compute):
        captures.append(graph)
        compute(graph.inputs, graph.recorded)  # fails before there is anything to compute

    monkeypatch.setattr(PlayedGraph, "capture", capture)
    assert read_bits(toy("replayed", epochs=8)) == plain
    assert len(captures) == 1
