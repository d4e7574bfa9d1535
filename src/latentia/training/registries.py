"""Decorator that marks recipes."""

from collections.abc import Callable


def recipe(function: Callable) -> Callable:
    """Mark a function as a recipe: its signature is the configuration, and it returns a Plan.

    Parameters
    ----------
    function : callable
        function from parameters with default values to a `Plan`; a parameter `data` names images

    Returns
    -------
    callable
        the same function, which `latentia train my.py:NAME` and `latentia.train` then find

    Examples
    --------
    >>> import latentia
    >>> from latentia.recipes.mnist_mlp_vae import mnist_mlp_vae
    >>> @latentia.recipe
    ... def small_vae(data: str = "digits:200", latent: int = 2) -> latentia.Plan:
    ...     return mnist_mlp_vae(data=data, latent=latent, hidden=32, epochs=1)
    >>> small_vae().epochs
    1
    """
    function.is_recipe = True  # pyright: ignore[reportFunctionMemberAccess]
    return function
