"""Registry of likelihoods, and the decorator that adds to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from latentia.core.registry import Registry

FILES = [Path(__file__).with_name(name) for name in ("likelihoods.py", "discretized.py")]
LIKELIHOODS: Registry[Callable[[], Any]] = Registry("likelihood", FILES)


def likelihood(name: Any = None) -> Any:
    """Register a likelihood: every recipe with the parameter `likelihood` then takes its name.

    Parameters
    ----------
    name : str, optional
        name of the likelihood; the default is that of the class or function. It decorates a
        subclass of `latentia.losses.likelihoods.Likelihood`, or a function that returns one; it is
        called with the training `images` if it has such a parameter, else without arguments

    Returns
    -------
    class or callable
        the same class or function

    Raises
    ------
    Error
        if there is a likelihood of this name

    Examples
    --------
    >>> import latentia
    >>> from latentia.losses.likelihoods import Gaussian
    >>> @latentia.likelihood("narrow_gaussian")
    ... def make_narrow_gaussian() -> Gaussian:
    ...     return Gaussian(0.1)
    >>> run = latentia.train(
    ...     "conv_vae", "digits:60", likelihood="narrow_gaussian", epochs=1, run="runs/narrow"
    ... )
    >>> run.model.likelihood.sigma_rule
    'fixed'
    """
    return LIKELIHOODS.register(name)
