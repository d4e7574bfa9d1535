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
from latentia.core.seeding import make_generator
from latentia.export.readme import format_guide
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import list_classes
from latentia.training.checkpoint import atomic_path, atomic_write

OPSET = 18
TOLERANCE = 1e-4  # of the largest value of an output, or of 1 where all are smaller
BATCH_SIZES = (1, 64)

InputSampler = Callable[[int, torch.Generator], Tensor]


class ModelPart(NamedTuple):
    """One file: a module of tensors, what goes in, n rows each, and the names of what comes out."""

    name: str
    module: nn.Module
    inputs: dict[str, InputSampler]
    outputs: tuple[str, ...]
    metadata: dict[str, Any]


class ExportedFile(NamedTuple):
    """A file that was compared: its inputs and outputs with their shapes, and by how much it
    differs from PyTorch at most, over BATCHES."""

    path: Path
    inputs: dict[str, str]
    outputs: dict[str, str]
    metadata: dict[str, Any]
    difference: float


class FunctionModule(nn.Module):
    """Tensors to tensors; `parts` are those whose weights the function uses."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def export_run(run: RunFolder, out: Path) -> list[ExportedFile]:
    """The parts of a run's model in a folder, and README.md on how to call them without PyTorch.

    Raises: Error if the model has no such part, or one does not do in onnxruntime what it does in
    PyTorch; then it is not written.
    """
    model = run.model()
    model_parts = split_model(model, run.metadata["images"]["shape"])
    if class_names := list_classes(run, model):
        model_parts[0].metadata["classes"] = class_names
    out.mkdir(parents=True, exist_ok=True)
    files = [export_part(part, out / f"{part.name}.onnx") for part in model_parts]
    title = f"latentia {version('latentia')}, onnxruntime {onnxruntime.__version__}, opset {OPSET}"
    atomic_write(out / "README.md", format_guide(run, files, title).encode())
    return files


def split_model(model: Any, shape: Sequence[int]) -> list[ModelPart]:
    """By what the model can do with images (c, h, w).

    Raises: Error if it can do nothing of it.
    """
    if isinstance(model, HasTrajectory) and hasattr(model, "denoise_steps"):
        return [make_sampler_part(model), *split_model(model.autoencoder, shape)]
    if isinstance(model, HasLatents):
        image_inputs = {"image": lambda n_rows, rng: torch.rand(n_rows, *shape, generator=rng)}
        encoder = FunctionModule(lambda image: tuple(model.encode(image)), model)  # pyright: ignore
        decoder = FunctionModule(model.decode, model)  # pyright: ignore
        return [
            ModelPart("encoder", encoder, image_inputs, ("mean", "logvar"), {}),
            ModelPart(
                "decoder", decoder, {"z": make_normal_sampler(model.latent_shape)}, ("image",), {}
            ),
        ]
    if isinstance(model, HasGenerator):
        module = FunctionModule(lambda noise: model.generate(noise).clamp(0, 1), model)  # pyright: ignore
        return [
            ModelPart(
                "generator",
                module,
                {"noise": make_normal_sampler(model.noise_shape)},
                ("image",),
                {},
            )
        ]
    raise Error(
        f"A {type(model).__name__} has no encoder, generator or sampler to export; give a run of "
        "a VAE, a GAN, a VAE-GAN or a learned prior."
    )


def make_sampler_part(model: Any) -> ModelPart:
    """From noise through every step to the image; the condition, if there is one, beside it."""
    inputs, metadata = (
        {"noise": make_normal_sampler(model.latent_shape)},
        {"sampler": model.sampling.sampler},
    )
    metadata |= {"steps": model.sampling.steps}
    if model.classes:
        shares = [round(share, 6) for share in model.shares.tolist()]
        metadata |= {"guidance": model.sampling.guidance, "shares": shares}
        inputs["condition"] = lambda n_rows, draw_images: torch.randint(
            model.classes, (n_rows,), generator=draw_images
        )
    elif model.condition is not None:
        metadata |= {"guidance": model.sampling.guidance}
        shape = model.condition.shape
        inputs["condition"] = lambda n_rows, draw_images: torch.rand(
            n_rows, *shape, generator=draw_images
        )

    def refuse_noise(step: int) -> Tensor:
        raise Error(
            f"An exported sampler takes all its noise at the start, and {model.sampling.sampler} "
            "adds more; give the model's Sampling ddim, euler or heun."
        )

    def draw_images(noise: Tensor, condition: Tensor | None = None) -> Tensor:
        condition_embedding = None if condition is None else model.condition(condition)
        sampling = replace(model.sampling, **({"guidance": 0.0} if condition is None else {}))
        *_, z = model.denoise_steps(noise, condition_embedding, sampling, refuse_noise)
        return model.autoencoder.decode(z)

    return ModelPart(
        "sampler",
        FunctionModule(draw_images, model, model.autoencoder),
        inputs,
        ("image",),
        metadata,
    )


def make_normal_sampler(shape: tuple[int, ...]) -> InputSampler:
    return lambda n_rows, rng: torch.randn(n_rows, *shape, generator=rng)


@torch.no_grad()
def export_part(part: ModelPart, path: Path) -> ExportedFile:
    """The file, once it has been compared; until then it has another name."""
    rng = make_generator(0, f"export/{part.name}")
    example_inputs = tuple(sample_input(2, rng) for sample_input in part.inputs.values())
    batch_dim = torch.export.Dim("n", min=1)
    module = part.module.eval()
    with atomic_path(path) as temporary_path:
        with silence_exporter():
            program = torch.onnx.export(
                module,
                example_inputs,
                dynamic_shapes=(tuple({0: batch_dim} for _ in example_inputs),),
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        program.model.metadata_props["latentia"] = json.dumps(part.metadata)
        program.save(temporary_path, external_data=False)
        session = onnxruntime.InferenceSession(temporary_path, providers=["CPUExecutionProvider"])
        batches = [
            {name: sample_input(batch_size, rng) for name, sample_input in part.inputs.items()}
            for batch_size in BATCH_SIZES
        ]
        differences = [measure_difference(module, session, inputs) for inputs in batches]
        max_difference = float(np.max(differences))  # NaN, if one is
        if not max_difference <= TOLERANCE:
            raise Error(
                f"{path.name} differs from PyTorch by {max_difference:.2g}, where {TOLERANCE:g} is allowed, "
                "and was not written; export with another version of onnxruntime or torch."
            )
    input_shapes, output_shapes = (
        {tensor_info.name: "x".join(map(str, tensor_info.shape)) for tensor_info in values}
        for values in (session.get_inputs(), session.get_outputs())
    )
    return ExportedFile(path, input_shapes, output_shapes, part.metadata, max_difference)


@contextmanager
def silence_exporter() -> Iterator[None]:
    """No warnings of the exporter on its own workings, nor that there is no torchvision."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def measure_difference(module: nn.Module, session: Any, inputs: dict[str, Tensor]) -> float:
    """The largest over outputs and values, in units of an output's largest value, at least 1."""
    expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    outputs = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    differences = [
        np.abs(expected_output.numpy() - output).max()
        / max(1.0, float(expected_output.abs().max()))
        for expected_output, output in zip(expected, outputs, strict=True)
    ]
    return float(np.max(differences))
