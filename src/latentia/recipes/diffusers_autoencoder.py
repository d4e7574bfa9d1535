"""Build an AutoencoderKL from a config of diffusers."""

from collections.abc import Mapping
from typing import Annotated, Any

from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.data import open_images
from latentia.losses.likelihoods import Symmetric
from latentia.models.vae import VAE
from latentia.nets.autoencoder import Architecture, Decoder, Encoder
from latentia.training.optimizers import Adam
from latentia.training.parameter_types import Data
from latentia.training.plan import Plan

CLASS = "AutoencoderKL"


BLOCKS = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}


def diffusers(
    data: Data = None, config: Annotated[Any, Doc("what config.json says")] = None
) -> Plan:
    """An AutoencoderKL of diffusers; its sigma is unknown: squared errors, summed, stand for it."""
    if not isinstance(config, Mapping):
        raise Error(
            "diffusers is no recipe to train; learn a prior over such an autoencoder with "
            "latentia train latent_prior --autoencoder diffusers:FOLDER, or train one with "
            "latentia train image_autoencoder."
        )
    images, plan = open_images(data), read_architecture(config)
    model = VAE(Encoder(images.shape, plan), Decoder(images.shape, plan), Symmetric())
    return Plan(model, images, {"vae": Adam(1e-4)}, batch=1, epochs=1)


DIFFUSERS_DEFAULTS = {  # what diffusers takes where a config does not say
    "act_fn": "silu",
    "norm_num_groups": 32,
    "layers_per_block": 1,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
    "block_out_channels": [64],
    **{key: [block] for key, block in BLOCKS.items()},
}


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """Raises: Error if a part is not of the kind that is built here."""
    says = {**DIFFUSERS_DEFAULTS, **config}
    wanted = {"act_fn": ["silu"], "out_channels": [says["in_channels"]]}
    wanted |= {key: [block] * len(says["block_out_channels"]) for key, block in BLOCKS.items()}
    for key, allowed in wanted.items():
        given = says[key] if isinstance(says[key], list | tuple) else [says[key]]
        if list(given) != allowed:
            raise Error(
                f"This {CLASS} has {key} {', '.join(map(str, given))}; only "
                f"{', '.join(map(str, allowed))} can be read: take another."
            )
    return Architecture(
        tuple(says["block_out_channels"]),
        says["latent_channels"],
        says["layers_per_block"],
        says["norm_num_groups"],
        says.get("mid_block_add_attention", True),
        says.get("use_quant_conv", True),
        says.get("use_post_quant_conv", True),
        says.get("shift_factor") or 0.0,
        says["scaling_factor"],
    )
