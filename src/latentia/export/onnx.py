"""Export of encoder, decoder, generator or sampler to ONNX, compared with PyTorch."""

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
from latentia.export.readme import format_readme
from latentia.nets.column_condition import add_details, get_condition, use_columns
from latentia.runs.folder import RunFolder
from latentia.runs.sampling import list_classes
from latentia.training.checkpoint import atomic_path, atomic_write

OPSET = 18
TOLERANCE = 1e-4  # share of an output's largest value, or of 1 where all values are smaller
BATCH_SIZES = (1, 64)  # of the comparison with PyTorch

InputSampler = Callable[[int, torch.Generator], Tensor]


class ModelPart(NamedTuple):
    """A module that becomes one file; inputs: a sampler of n rows for each input, by name."""

    name: str
    module: nn.Module
    inputs: dict[str, InputSampler]
    outputs: tuple[str, ...]
    metadata: dict[str, Any]


class ExportedFile(NamedTuple):
    """A written file with the shapes of its inputs and outputs, by name.

    difference: the largest difference from PyTorch, in units of TOLERANCE's scale.
    """

    path: Path
    inputs: dict[str, str]
    outputs: dict[str, str]
    metadata: dict[str, Any]
    difference: float


class FunctionModule(nn.Module):
    """A function of tensors as a module; parts: modules whose weights the function uses."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def export_run(run: RunFolder, out: Path) -> list[ExportedFile]:
    """Write the parts of a run's model to a folder, and README.md on calling them without PyTorch.

    Raises: Error if the model has no part to export, or onnxruntime's output differs from
    PyTorch's (that file is not written).
    """
    model = run.model()
    parts = split_model(model, run.metadata["images"]["shape"])
    if classes := list_classes(run, model):
        parts[0].metadata["classes"] = classes
    out.mkdir(parents=True, exist_ok=True)
    files = [export_part(part, out / f"{part.name}.onnx") for part in parts]
    title = f"latentia {version('latentia')}, onnxruntime {onnxruntime.__version__}, opset {OPSET}"
    atomic_write(out / "README.md", format_readme(run, files, title).encode())
    return files


def split_model(model: Any, shape: Sequence[int]) -> list[ModelPart]:
    """Return the parts of a model that can be exported; shape: (c, h, w) of its images.

    Raises: Error if there is none.
    """
    if isinstance(model, HasTrajectory) and hasattr(model, "denoise_steps"):
        is_latent = isinstance(model.autoencoder, HasLatents)
        parts = split_model(model.autoencoder, shape) if is_latent else []
        return [make_sampler_part(model), *parts]
    labels: dict[str, InputSampler] = {}
    metadata, column = {}, getattr(model, "column", "")

    def make_module(function: Callable[[Tensor], Any]) -> FunctionModule:
        """Return a module of a function of the model, whose second input is the label if any."""

        def call(x: Tensor, *label: Tensor) -> Any:
            with use_columns(model, dict.fromkeys([column], *label) if label else {}):
                return function(x)

        return FunctionModule(call, model)  # pyright: ignore

    if condition := get_condition(model):
        labels = {"condition": lambda n, rng: condition.draw(n, 0)}
        shares = [round(share, 6) for share in condition.distribution.tolist()]
        metadata = {"shares": shares} if condition.num_classes else {}
    if isinstance(model, HasLatents):
        images = {"image": lambda n, rng: torch.rand(n, *shape, generator=rng)}
        latents = {"z": make_normal_sampler(model.latent_shape)}
        example = [sample(1, torch.Generator()) for sample in labels.values()]
        outputs = make_module(model.encode)(torch.zeros(1, *shape), *example)._fields
        encoder = make_module(lambda image: tuple(model.encode(image)))
        parts = [
            ModelPart("encoder", encoder, images | labels, outputs, {}),
            ModelPart("decoder", make_module(model.decode), latents | labels, ("image",), metadata),
        ]
        if prior := getattr(model, "prior", None):
            inputs = {"noise": latents["z"], "level": lambda n, rng: torch.rand(n, generator=rng)}
            module = FunctionModule(prior.transform, model)  # pyright: ignore
            parts.insert(0, ModelPart("prior", module, inputs, ("z",), {}))
        return parts
    if isinstance(model, HasGenerator):
        inputs = {"noise": make_normal_sampler(model.latent_shape)} | labels
        module = make_module(lambda noise: model.generate(noise).clamp(0, 1))
        return [ModelPart("generator", module, inputs, ("image",), metadata)]
    raise Error(
        f"A {type(model).__name__} has no encoder, generator or sampler to export; give a run of "
        "a VAE, a GAN, a VAE-GAN or a learned prior."
    )


def make_sampler_part(model: Any) -> ModelPart:
    """Return the part from noise, and the condition if there is one, to the image."""
    inputs = {"noise": make_normal_sampler(model.latent_shape)}
    metadata = {"sampler": model.sampling.sampler, "steps": model.sampling.steps}
    if model.condition is not None:
        metadata["guidance"] = model.sampling.guidance
    if n_classes := model.num_classes:
        metadata["shares"] = [round(share, 6) for share in model.shares.tolist()]
        inputs["condition"] = lambda n, rng: torch.randint(n_classes, (n,), generator=rng)
    elif model.condition is not None:
        shape = model.condition.shape
        inputs["condition"] = lambda n, rng: torch.rand(n, *shape, generator=rng)

    def refuse_noise(step: int) -> Tensor:
        raise Error(
            f"An exported sampler takes all its noise at the start, and {model.sampling.sampler} "
            "adds more; give the model's Sampling ddim, euler or heun."
        )

    def sample(noise: Tensor, condition: Tensor | None = None) -> Tensor:
        embeddings = None if condition is None else model.condition(condition)
        sampling = replace(model.sampling, **({"guidance": 0.0} if condition is None else {}))
        *_, z = model.denoise_steps(noise, embeddings, sampling, refuse_noise)
        return add_details(model.autoencoder, model.autoencoder.decode(z))

    module = FunctionModule(sample, model, model.autoencoder)
    return ModelPart("sampler", module, inputs, ("image",), metadata)


def make_normal_sampler(shape: tuple[int, ...]) -> InputSampler:
    return lambda n, rng: torch.randn(n, *shape, generator=rng)


@torch.no_grad()
def export_part(part: ModelPart, path: Path) -> ExportedFile:
    """Write one file; it replaces an older one only after the comparison with PyTorch.

    Raises: Error if an output differs by more than TOLERANCE.
    """
    rng = make_generator(0, f"export/{part.name}")
    module, examples = part.module.eval(), tuple(sample(2, rng) for sample in part.inputs.values())
    rows = torch.export.Dim("n", min=1)
    with atomic_path(path) as temporary:
        with silence_exporter():
            program = torch.onnx.export(
                module,
                examples,
                dynamic_shapes=(tuple({0: rows} for _ in examples),),
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        for node in program.model.graph:
            for value in node.outputs:
                if value.name in part.outputs and not value.is_graph_output():
                    value.name = f"inner_{value.name}"  # an operator has the name of an output
        program.model.metadata_props["latentia"] = json.dumps(part.metadata)
        program.save(temporary, external_data=False)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        batches = [{k: sample(n, rng) for k, sample in part.inputs.items()} for n in BATCH_SIZES]
        differences = [measure_difference(module, session, inputs) for inputs in batches]
        difference = float(np.max(differences))  # NaN if any is NaN
        if not difference <= TOLERANCE:
            raise Error(
                f"{path.name} differs from PyTorch by {difference:.2g}, where {TOLERANCE:g} is "
                "allowed, and was not written; export with another version of onnxruntime or torch."
            )
    inputs, outputs = (
        {info.name: "x".join(map(str, info.shape)) for info in infos}
        for infos in (session.get_inputs(), session.get_outputs())
    )
    return ExportedFile(path, inputs, outputs, part.metadata, difference)


@contextmanager
def silence_exporter() -> Iterator[None]:
    """Hide the exporter's warnings about its own code and about a missing torchvision."""
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
    """Largest difference over outputs and values, over the output's largest value or 1."""
    torch_outputs = module(*inputs.values())
    torch_outputs = torch_outputs if isinstance(torch_outputs, tuple) else (torch_outputs,)
    outputs = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    differences = [
        np.abs(a.numpy() - b).max() / max(1.0, float(a.abs().max()))
        for a, b in zip(torch_outputs, outputs, strict=True)
    ]
    return float(np.max(differences))
