"""AutoencoderKL of diffusers, built from its config.json."""

from collections.abc import Mapping
from typing import Any

from latentia.core.errors import Error
from latentia.data import open_images
from latentia.losses.likelihoods import SymmetricGaussian
from latentia.models.vae import VAE
from latentia.nets.autoencoder import Architecture, Decoder, Encoder
from latentia.training import Adam, Plan
from latentia.training import parameter_types as types

MODEL_CLASS = "AutoencoderKL"
BLOCK_TYPES = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}


def diffusers(data: types.Data = None, config: Any = None) -> Plan:
    """AutoencoderKL of diffusers (Rombach et al. 2022, arXiv 2112.10752); it is not trained here.

    Its sigma is unknown, so the distortion is the summed squared error.

    Parameters
    ----------
    config
        content of config.json
    """
    if not isinstance(config, Mapping):
        raise Error(
            "diffusers is no recipe to train; learn a prior over such an autoencoder with "
            "latentia train latent_prior --autoencoder diffusers:FOLDER, or train one with "
            "latentia train image_autoencoder."
        )
    images, layout = open_images(data), read_architecture(config)
    model = VAE(Encoder(images.shape, layout), Decoder(images.shape, layout), SymmetricGaussian())
    return Plan(model, images, {"vae": Adam(1e-4)}, batch=1, epochs=1)


DIFFUSERS_DEFAULTS = {  # of keys that a config leaves out
    "act_fn": "silu",
    "norm_num_groups": 32,
    "layers_per_block": 1,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
    "block_out_channels": [64],
    **{key: [block] for key, block in BLOCK_TYPES.items()},
}


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """Read the architecture. Raises: Error if it has other blocks than those built here."""
    settings = {**DIFFUSERS_DEFAULTS, **config}
    allowed_values = {"act_fn": ["silu"], "out_channels": [settings["in_channels"]]}
    allowed_values |= {
        key: [block] * len(settings["block_out_channels"]) for key, block in BLOCK_TYPES.items()
    }
    for key, expected in allowed_values.items():
        values = settings[key] if isinstance(settings[key], list | tuple) else [settings[key]]
        if list(values) != expected:
            raise Error(
                f"This {MODEL_CLASS} has {key} {', '.join(map(str, values))}; only "
                f"{', '.join(map(str, expected))} can be read: take another."
            )
    return Architecture(
        tuple(settings["block_out_channels"]),
        settings["latent_channels"],
        settings["layers_per_block"],
        settings["norm_num_groups"],
        settings.get("mid_block_add_attention", True),
        settings.get("use_quant_conv", True),
        settings.get("use_post_quant_conv", True),
        settings.get("shift_factor") or 0.0,
        settings["scaling_factor"],
    )
