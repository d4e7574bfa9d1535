"""Registry of samplers, and the decorator that adds to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from latentia.core.registry import Registry

FILE = Path(__file__).with_name("samplers.py")
SAMPLERS: Registry[Callable[..., Any]] = Registry("sampler", [FILE])


def sampler(name: Any = None) -> Any:
    """Register a sampler of learned priors: `latentia sample --sampler` then takes its name.

    A sampler is a function of (denoise, path, z, times, step_noise), as those of
    `latentia.diffusion.samplers`. It yields the latents after each step, from noise at t = 1 to
    data at t = 0.

    Parameters
    ----------
    name : str, optional
        name of the sampler; the default is the function's

    Returns
    -------
    callable
        the same function

    Raises
    ------
    Error
        if there is a sampler of this name

    Examples
    --------
    >>> import latentia
    >>> @latentia.sampler
    ... def one_step(denoise, path, z, times, step_noise):
    ...     yield denoise(z, times[0]).data
    >>> from latentia.diffusion.registry import SAMPLERS
    >>> list(SAMPLERS)[-1]
    'one_step'
    """
    return SAMPLERS.register(name)
