"""Learn the hidden variables of a set of images and draw new images from them.

Train a recipe on images, and use the run that it returns:

    run = latentia.train("conv_vae", images, epochs=5)  # an array, a folder, a file or a data set
    run.encode()  # a pandas.DataFrame: latents, rate (KL), distortion and labels of each image
    run.sample(16)  # new images (16, c, h, w) in [0, 1]
    run.plot_reconstructions()  # a picture
    run.evaluate("elbo", "fd")  # metrics, each with its n, interval and split
    run.diagnose()  # problems, and suggested commands
    run = latentia.load(run.path)

`latentia.list_recipes()` names the recipes, `help(latentia.find_recipe("conv_vae"))` shows the
parameters of one, and `help(latentia.Run)` all that a run does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentia.api.run import Run
    from latentia.api.train_and_load import load, resume, train
    from latentia.core.contract import Batch, Model, Player, StepContext
    from latentia.core.errors import Error
    from latentia.core.gaussian import DiagonalGaussian
    from latentia.core.plugins import load_plugin
    from latentia.core.registries import modifier, recipe
    from latentia.data.dataset import Images, open_images
    from latentia.data.sources.registry import data_source
    from latentia.data.splits import Split
    from latentia.data.synthetic.digits import make_digits
    from latentia.data.synthetic.speckle import make_speckle
    from latentia.data.synthetic.sprites import make_sprites
    from latentia.data.synthetic.vehicles import make_vehicles
    from latentia.diffusion.registry import sampler
    from latentia.latents.association import associate_labels
    from latentia.latents.attribution import attribute_pixels
    from latentia.latents.encoding import LatentTable, encode_split
    from latentia.latents.interpolation import interpolate_images
    from latentia.latents.traversal import Traversal, traverse_dims
    from latentia.losses.likelihoods import Bernoulli, Gaussian, Likelihood, SymmetricGaussian
    from latentia.losses.registry import likelihood
    from latentia.metrics.coverage import prdc
    from latentia.metrics.distribution import frechet_distance
    from latentia.metrics.elbo import elbo
    from latentia.metrics.nll import nll
    from latentia.metrics.registry import metric
    from latentia.metrics.result import MetricResult, MetricTable
    from latentia.models.gan import GAN
    from latentia.models.iwae import IWAE
    from latentia.models.latent_diffusion import LatentDiffusion
    from latentia.models.vae import VAE
    from latentia.models.vaegan import VAEGAN
    from latentia.runs.recipes import find_recipe, list_recipes
    from latentia.sklearn import ImageVAE
    from latentia.sweep.beta_choice import choose_beta, find_candidates
    from latentia.training.optimizers import Adam
    from latentia.training.plan import Options, Plan

__all__ = [
    "GAN",
    "IWAE",
    "VAE",
    "VAEGAN",
    "Adam",
    "Batch",
    "Bernoulli",
    "DiagonalGaussian",
    "Error",
    "Gaussian",
    "ImageVAE",
    "Images",
    "LatentDiffusion",
    "LatentTable",
    "Likelihood",
    "MetricResult",
    "MetricTable",
    "Model",
    "Options",
    "Plan",
    "Player",
    "Run",
    "Split",
    "StepContext",
    "SymmetricGaussian",
    "Traversal",
    "associate_labels",
    "attribute_pixels",
    "choose_beta",
    "data_source",
    "elbo",
    "encode_split",
    "find_candidates",
    "find_recipe",
    "frechet_distance",
    "interpolate_images",
    "likelihood",
    "list_recipes",
    "load",
    "load_plugin",
    "make_digits",
    "make_speckle",
    "make_sprites",
    "make_vehicles",
    "metric",
    "modifier",
    "nll",
    "open_images",
    "prdc",
    "recipe",
    "resume",
    "sampler",
    "train",
    "traverse_dims",
]

# module of each name, imported at its first use
_NAMES = {
    "api.run": "Run",
    "api.train_and_load": "load resume train",
    "core.contract": "Batch Model Player StepContext",
    "core.errors": "Error",
    "core.gaussian": "DiagonalGaussian",
    "core.plugins": "load_plugin",
    "core.registries": "modifier recipe",
    "data.dataset": "Images open_images",
    "data.sources.registry": "data_source",
    "data.splits": "Split",
    "data.synthetic.digits": "make_digits",
    "data.synthetic.speckle": "make_speckle",
    "data.synthetic.sprites": "make_sprites",
    "data.synthetic.vehicles": "make_vehicles",
    "diffusion.registry": "sampler",
    "latents.association": "associate_labels",
    "latents.attribution": "attribute_pixels",
    "latents.encoding": "LatentTable encode_split",
    "latents.interpolation": "interpolate_images",
    "latents.traversal": "Traversal traverse_dims",
    "losses.likelihoods": "Bernoulli Gaussian Likelihood SymmetricGaussian",
    "losses.registry": "likelihood",
    "metrics.coverage": "prdc",
    "metrics.distribution": "frechet_distance",
    "metrics.elbo": "elbo",
    "metrics.nll": "nll",
    "metrics.registry": "metric",
    "metrics.result": "MetricResult MetricTable",
    "models.gan": "GAN",
    "models.iwae": "IWAE",
    "models.latent_diffusion": "LatentDiffusion",
    "models.vae": "VAE",
    "models.vaegan": "VAEGAN",
    "runs.recipes": "find_recipe list_recipes",
    "sklearn": "ImageVAE",
    "sweep.beta_choice": "choose_beta find_candidates",
    "training.optimizers": "Adam",
    "training.plan": "Options Plan",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: `latentia --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentia' has no attribute {name!r}")
    return getattr(importlib.import_module(f"latentia.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
