"""Options of sampling from a learned prior."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from latentia.diffusion.registry import SAMPLERS

GUIDANCE = Doc("guidance strength, at least 0; 1 is the model as trained, 0 ignores the condition")


@dataclass(frozen=True)
class SamplingOptions:
    """Options of sampling from a learned prior."""

    sampler: Annotated[str, SAMPLERS, Doc("method of sampling from the prior")] = "heun"
    steps: Annotated[int, Ge(1), Doc("number of steps from noise to latent, at least 1")] = 16
    guidance: Annotated[float, Ge(0), GUIDANCE] = 1.0
