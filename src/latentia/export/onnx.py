"""Encoder, decoder, generator or whole sampler as ONNX, compared with PyTorch before it is kept."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from latentia.core.contract import HasGenerator, HasLatents, HasTrajectory
from latentia.core.errors import Error
from latentia.core.seeding import generator
from latentia.export.readme import guide
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import list_classes
from latentia.training.checkpoint import unfinished, write_whole

OPSET = 18
TOLERANCE = 1e-4  # of the largest value of an output, or of 1 where all are smaller
BATCHES = (1, 64)

Draw = Callable[[int, torch.Generator], Tensor]


class Part(NamedTuple):
    """One file: a module of tensors, what goes in, n rows each, and the names of what comes out."""

    name: str
    module: nn.Module
    inputs: dict[str, Draw]
    outputs: tuple[str, ...]
    about: dict[str, Any]


class Written(NamedTuple):
    """A file that was compared: its inputs and outputs with their shapes, and by how much it
    differs from PyTorch at most, over BATCHES."""

    path: Path
    inputs: dict[str, str]
    outputs: dict[str, str]
    about: dict[str, Any]
    difference: float


class Call(nn.Module):
    """Tensors to tensors; `parts` are those whose weights the function uses."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *given: Tensor) -> Any:
        return self.function(*given)


def write(run: RunFolder, out: Path) -> list[Written]:
    """The parts of a run's model in a folder, and README.md on how to call them without PyTorch.

    Raises: Error if the model has no such part, or one does not do in onnxruntime what it does in
    PyTorch; then it is not written.
    """
    model = run.model()
    found = parts(model, run.metadata["images"]["shape"])
    if names := list_classes(run, model):
        found[0].about["classes"] = names
    out.mkdir(parents=True, exist_ok=True)
    done = [put(part, out / f"{part.name}.onnx") for part in found]
    title = f"latentia {version('latentia')}, onnxruntime {onnxruntime.__version__}, opset {OPSET}"
    write_whole(out / "README.md", guide(run, done, title).encode())
    return done


def parts(model: Any, shape: Sequence[int]) -> list[Part]:
    """By what the model can do with images (c, h, w).

    Raises: Error if it can do nothing of it.
    """
    if isinstance(model, HasTrajectory) and hasattr(model, "denoised"):
        return [sampler(model), *parts(model.autoencoder, shape)]
    if isinstance(model, HasLatents):
        images = {"image": lambda n, draw: torch.rand(n, *shape, generator=draw)}
        encoder = Call(lambda image: tuple(model.encode(image)), model)  # pyright: ignore
        decoder = Call(model.decode, model)  # pyright: ignore
        return [
            Part("encoder", encoder, images, ("mean", "logvar"), {}),
            Part("decoder", decoder, {"z": normal(model.latent_shape)}, ("image",), {}),
        ]
    if isinstance(model, HasGenerator):
        call = Call(lambda noise: model.draw(noise).clamp(0, 1), model)  # pyright: ignore
        return [Part("generator", call, {"noise": normal(model.noise_shape)}, ("image",), {})]
    raise Error(
        f"A {type(model).__name__} has no encoder, generator or sampler to export; give a run of "
        "a VAE, a GAN, a VAE-GAN or a learned prior."
    )


def sampler(model: Any) -> Part:
    """From noise through every step to the image; the condition, if there is one, beside it."""
    inputs, about = {"noise": normal(model.latent_shape)}, {"sampler": model.sampling.sampler}
    about |= {"steps": model.sampling.steps}
    if model.classes:
        shares = [round(share, 6) for share in model.shares.tolist()]
        about |= {"guidance": model.sampling.guidance, "shares": shares}
        inputs["condition"] = lambda n, draw: torch.randint(model.classes, (n,), generator=draw)
    elif model.condition is not None:
        about |= {"guidance": model.sampling.guidance}
        shape = model.condition.shape
        inputs["condition"] = lambda n, draw: torch.rand(n, *shape, generator=draw)

    def fresh(step: int) -> Tensor:
        raise Error(
            f"An exported sampler takes all its noise at the start, and {model.sampling.sampler} "
            "adds more; give the model's Sampling ddim, euler or heun."
        )

    def draw(noise: Tensor, condition: Tensor | None = None) -> Tensor:
        vectors = None if condition is None else model.condition(condition)
        how = replace(model.sampling, **({"guidance": 0.0} if condition is None else {}))
        *_, z = model.denoised(noise, vectors, how, fresh)
        return model.autoencoder.decode(z)

    return Part("sampler", Call(draw, model, model.autoencoder), inputs, ("image",), about)


def normal(shape: tuple[int, ...]) -> Draw:
    return lambda n, draw: torch.randn(n, *shape, generator=draw)


@torch.no_grad()
def put(part: Part, path: Path) -> Written:
    """The file, once it has been compared; until then it has another name."""
    draw = generator(0, f"export/{part.name}")
    example = tuple(make(2, draw) for make in part.inputs.values())
    batch = torch.export.Dim("n", min=1)
    module = part.module.eval()
    with unfinished(path) as begun:
        with quiet():
            program = torch.onnx.export(
                module,
                example,
                dynamic_shapes=(tuple({0: batch} for _ in example),),
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        program.model.metadata_props["latentia"] = json.dumps(part.about)
        program.save(begun, external_data=False)
        session = onnxruntime.InferenceSession(begun, providers=["CPUExecutionProvider"])
        rows = [{name: make(n, draw) for name, make in part.inputs.items()} for n in BATCHES]
        gaps = [difference(module, session, given) for given in rows]
        gap = float(np.max(gaps))  # NaN, if one is
        if not gap <= TOLERANCE:
            raise Error(
                f"{path.name} differs from PyTorch by {gap:.2g}, where {TOLERANCE:g} is allowed, "
                "and was not written; export with another version of onnxruntime or torch."
            )
    takes, gives = (
        {each.name: "x".join(map(str, each.shape)) for each in some}
        for some in (session.get_inputs(), session.get_outputs())
    )
    return Written(path, takes, gives, part.about, gap)


@contextmanager
def quiet() -> Iterator[None]:
    """No words of the exporter on its own workings, nor that there is no torchvision."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def difference(module: nn.Module, session: Any, given: dict[str, Tensor]) -> float:
    """The largest over outputs and values, in units of an output's largest value, at least 1."""
    wanted = module(*given.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    found = session.run(None, {name: value.numpy() for name, value in given.items()})
    gaps = [
        np.abs(w.numpy() - f).max() / max(1.0, float(w.abs().max()))
        for w, f in zip(wanted, found, strict=True)
    ]
    return float(np.max(gaps))
