"""Export of an image_autoencoder to the folder that `AutoencoderKL.from_pretrained` loads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from latentia.core.errors import Error
from latentia.core.gaussian import DiagonalGaussian
from latentia.latents.encoding import encode_split
from latentia.nets.autoencoder import Encoder
from latentia.recipes.diffusers_autoencoder import BLOCK_TYPES, MODEL_CLASS
from latentia.runs.diffusers import CONFIG_FILE, WEIGHTS_FILE
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import atomic_write

MAX_IMAGES = 5_000  # training images from which the scale of the latents is estimated


def export_run(run: RunFolder, out: Path, data: Any = None) -> list[Path]:
    """Write config.json and weights; return their paths.

    diffusers takes and returns images in [-1, 1]. The scaling_factor brings the latents of the
    run's training images to a standard deviation of 1 over all channels and positions. data: where
    these images are now.

    Raises: Error if the run's networks are not those of an image_autoencoder.
    """
    model: Any = run.model()
    encoder = getattr(model, "encoder", None)
    is_gaussian = getattr(model, "posterior", None) == DiagonalGaussian.from_heads
    is_modulated = not is_gaussian or model.dial is not None or model.condition is not None
    if not isinstance(encoder, Encoder) or is_modulated:
        raise Error(
            f"{run.path} is a run of {run.metadata['recipe']}, whose networks diffusers does not "
            "know; give a run of `latentia train image_autoencoder`."
        )
    table = encode_split(model, run.images(data).split("train"), MAX_IMAGES)
    assert table.sd is not None
    sd = np.sqrt(np.square(table.sd, dtype="f8").mean() + table.mean.var(dtype="f8"))
    channels, height, width = encoder.image_shape
    plan = encoder.architecture
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
        "scaling_factor": float(plan.scale / sd),
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
    # last: diffusers loads no folder without it
    atomic_write(out / CONFIG_FILE, json.dumps(config, indent=1).encode())
    return [out / CONFIG_FILE, out / WEIGHTS_FILE]


def to_diffusers_name(key: str) -> str:
    """Return diffusers' name of a tensor, the inverse of `runs.diffusers.rename_tensor`."""
    stem, _, name = key.partition(".")
    prefix = {"encoder": "quant_conv.", "decoder": "post_quant_conv."}[stem]
    return name if name.startswith(prefix) else key
