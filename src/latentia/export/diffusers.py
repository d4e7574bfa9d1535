"""A trained image_autoencoder as the folder that `AutoencoderKL.from_pretrained` loads."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from latentia.core.errors import Error
from latentia.latents.encoding import encode_split
from latentia.nets.autoencoder import Encoder
from latentia.recipes.diffusers_autoencoder import BLOCK_TYPES, MODEL_CLASS
from latentia.runs.diffusers import CONFIG_FILE, WEIGHTS_FILE
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import atomic_write, write_json

MAX_IMAGES = 5_000  # training images that the scale of the latents is measured on


def export_run(run: RunFolder, out: Path, data: Any = None) -> list[Path]:
    """config.json and weights; diffusers wants images 2 x - 1, in [-1, 1], and gives such.

    Its scaling_factor brings the latents of the run's training images (`data` says where they are
    now) to a standard deviation of 1, over all channels and places together.

    Raises: Error if the run's networks are not those of an image_autoencoder.
    """
    model: Any = run.model()
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, Encoder) or model.dial is not None:
        raise Error(
            f"{run.path} is a run of {run.metadata['recipe']}, whose networks diffusers does not "
            "know; give a run of `latentia train image_autoencoder`."
        )
    latent_table, plan = (
        encode_split(model, run.images(data).split("train"), MAX_IMAGES),
        encoder.architecture,
    )
    spread = np.sqrt(
        np.square(latent_table.sd, dtype="f8").mean() + latent_table.mean.var(dtype="f8")
    )
    channels, height, width = encoder.image_shape
    config = {
        "_class_name": MODEL_CLASS,
        "act_fn": "silu",
        "block_out_channels": plan.widths,
        **{key: [block] * len(plan.widths) for key, block in BLOCK_TYPES.items()},
        "in_channels": channels,
        "out_channels": channels,
        "latent_channels": plan.latent_channels,
        "layers_per_block": plan.layers_per_block,
        "mid_block_add_attention": plan.attention,
        "norm_num_groups": plan.norm_groups,
        "sample_size": max(height, width),
        "scaling_factor": float(plan.scale / spread),
        "shift_factor": plan.shift or None,
        "use_quant_conv": plan.use_quant_conv,
        "use_post_quant_conv": plan.use_post_quant_conv,
    }
    tensors = {
        to_diffusers_name(key): value.contiguous()
        for key, value in model.state_dict().items()
        if key.startswith(("encoder.", "decoder."))
    }
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(out / WEIGHTS_FILE, save(tensors, {"format": "pt"}))
    write_json(out / CONFIG_FILE, config)  # last: without it the folder is none of diffusers
    return [out / CONFIG_FILE, out / WEIGHTS_FILE]


def to_diffusers_name(key: str) -> str:
    """Of a tensor of ours: `engine.pretrained.own_name` undone."""
    stem, _, remainder = key.partition(".")
    quant_prefix = {"encoder": "quant_conv.", "decoder": "post_quant_conv."}[stem]
    return remainder if remainder.startswith(quant_prefix) else key
