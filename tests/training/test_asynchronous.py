"""Training on a GPU, which computes while Python goes on; played on the CPU."""

import sys

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentia.api.training import start_run
from latentia.models.vae import VAE
from latentia.training.events import Finding
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
    *("vaegan", "image_autoencoder", "photo_vae", "latent_prior"),
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
