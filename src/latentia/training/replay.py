"""CUDA graphs: a step that is computed again with other images and noise is replayed.

Python needs longer to start the kernels of a small network than a GPU to compute them. A graph
starts all of them at once. LATENTIA_CUDA_GRAPHS=1 asks for it: it was tested with a stand-in for
the GPU on a CPU only (tests/training/test_asynchronous.py), so that it is not the default.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentia.core.contract import Batch, StepContext, Term, Terms
from latentia.core.seeding import derive_seed

MAX_GRAPHS = 8
WARMUP_STEPS = 3  # before them the optimizers have no moments, and convolutions no algorithm
MEMORY_FACTOR = 3  # a graph has memory of its own: as much again as a step takes

Results = dict[str, tuple[Terms, dict[str, Tensor], Tensor]]  # by player
Compute = Callable[[Batch, StepContext], Results]


def is_requested(device: torch.device) -> bool:
    """Whether steps on this device are to be replayed."""
    return device.type == "cuda" and os.environ.get("LATENTIA_CUDA_GRAPHS") == "1"


class UnreadStep:
    """The number of a step that is captured: whoever uses it, other than by `read`, fails."""

    def refuse(self, *_: object) -> Any:
        raise TypeError("a graph holds no number of the step")

    __bool__ = __eq__ = __ne__ = __hash__ = __int__ = refuse


class StepGraph:
    """A step as a CUDA graph, valid at every step at which Python would read the same.

    It is the recorder of its own `StepContext`: it notes what a graph cannot hold, which is the
    seeds of the noise and what Python read of the step.
    """

    def __init__(self, compute: Compute, batch: Batch, context: StepContext):
        self.context, self.replays = context, 0
        self.reads: list[tuple[Callable[[StepContext], Any], Any]] = []
        self.numbers: list[tuple[Callable[[StepContext], float], Tensor]] = []
        self.generators: list[tuple[int, str, torch.Generator]] = []
        self.inputs = Batch(batch.image.clone(), {k: v.clone() for k, v in batch.columns.items()})
        self.recorded = context._replace(step=UnreadStep(), recorder=self)  # pyright: ignore
        self.capture(compute)

    def capture(self, compute: Compute) -> None:
        """Note the kernels that a step starts. None is computed."""
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.results = detach_results(compute(self.inputs, self.recorded))

    def read(self, function: Callable[[StepContext], Any]) -> Any:
        """Return what a function makes of the step, and note it."""
        self.reads.append((function, value := function(self.context)))
        return value

    def number(self, function: Callable[[StepContext], float]) -> Tensor:
        """Return a tensor that each replay sets to what the function makes of its step."""
        number = torch.empty((), dtype=torch.float64, device=self.inputs.image.device)
        self.numbers.append((function, number))
        return number

    def make_generator(self, seed: int, purpose: str, device: torch.device) -> torch.Generator:
        """Return a generator that each replay seeds anew."""
        generator = torch.Generator(device)
        self.graph.register_generator_state(generator)
        self.generators.append((seed, purpose, generator))
        return generator

    def fits(self, context: StepContext) -> bool:
        return all(function(context) == value for function, value in self.reads)

    def replay(self, batch: Batch, context: StepContext) -> Results:
        self.inputs.image.copy_(batch.image)
        for name, column in batch.columns.items():
            self.inputs.columns[name].copy_(column)
        for function, number in self.numbers:
            number.fill_(function(context))
        for seed, purpose, generator in self.generators:
            generator.manual_seed(derive_seed(seed, purpose, context.step))
        self.graph.replay()
        self.replays += 1
        return self.results


class StepReplay:
    """Computes steps: as they are, or by a graph that was captured before."""

    def __init__(self, compute: Compute, model: torch.nn.Module, device: torch.device):
        self.compute, self.model, self.device = compute, model, device
        self.graphs: list[StepGraph] = []
        self.steps_to_wait = WARMUP_STEPS
        self.is_possible = not any(  # dropout has one generator for all its masks
            isinstance(module, torch.nn.modules.dropout._DropoutNd) for module in model.modules()
        )

    def __call__(self, batch: Batch, context: StepContext) -> Results:
        for graph in self.graphs:
            if graph.fits(context):
                return graph.replay(batch, context)
        self.steps_to_wait -= 1
        if self.is_possible and self.steps_to_wait < 0 and self.can_capture():
            try:
                graph = StepGraph(self.compute, batch, context)
            except (RuntimeError, TypeError):  # the model waits for the device, or reads the step
                self.is_possible = False
                self.model.zero_grad(set_to_none=True)
            else:
                self.keep(graph)
                return graph.replay(batch, context)
        return self.compute(batch, context)

    def keep(self, graph: StepGraph) -> None:
        """Keep a graph in the place of one that was replayed once only, if there are many.

        A schedule makes each graph useless at once: the more were, the later the next capture.
        """
        useless = [each for each in self.graphs if each.replays < 2]
        if len(self.graphs) == MAX_GRAPHS:
            self.graphs.remove(useless[0] if useless else self.graphs[0])
        self.graphs.append(graph)
        self.steps_to_wait = 2 ** len(useless)

    def can_capture(self) -> bool:
        """Whether there is memory, and the last step drew nothing from the global generator."""
        state = torch.cuda.default_generators[self.device.index or 0]
        peak, total = torch.cuda.max_memory_allocated(), torch.cuda.mem_get_info()[1]
        return not state.get_offset() and MEMORY_FACTOR * peak < total


def detach_results(results: Results) -> Results:
    """Let go of the graph of gradients, whose nodes belong to the stream of the capture."""

    def detach(term: Term) -> Term:
        weight = term.weight.detach() if isinstance(term.weight, Tensor) else term.weight
        return term._replace(weight=weight, value=term.value.detach())

    return {
        player: ({name: detach(term) for name, term in terms.items()}, means, norm)
        for player, (terms, means, norm) in results.items()
    }
