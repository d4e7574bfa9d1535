"""An AutoencoderKL in the layout of diffusers, as if a run had made it: read, never executed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from torch import Tensor
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.data import Images, Source, open_images
from latentia.engine.checkpoint import read_tensors, write_json, write_tensors
from latentia.engine.knobs import Data
from latentia.engine.machine import machine
from latentia.engine.optim import Adam
from latentia.engine.plan import Options, Plan
from latentia.engine.recipe import DIFFUSERS
from latentia.engine.run import Run
from latentia.engine.state import differs
from latentia.losses.likelihood import Symmetric
from latentia.models.vae import VAE
from latentia.nets.autoencoder import Architecture, Decoder, Encoder

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
CLASS = "AutoencoderKL"
BLOCKS = {"down_block_types": "DownEncoderBlock2D", "up_block_types": "UpDecoderBlock2D"}
# attention was a block of its own once, under other names
OLD = {"query.": "to_q.", "key.": "to_k.", "value.": "to_v.", "proj_attn.": "to_out.0."}


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
    images, plan = open_images(data), architecture(config)
    model = VAE(Encoder(images.shape, plan), Decoder(images.shape, plan), Symmetric())
    return Plan(model, images, {"vae": Adam(1e-4)}, batch=1, epochs=1)


@dataclass(frozen=True)
class Pretrained(Run):
    """The folder, and what a run.json of it would say."""

    def tensors(self) -> dict[str, Tensor]:
        read = read_tensors(self.path / WEIGHTS)[0]
        likelihood = {f"likelihood.{k}": v for k, v in Symmetric().state_dict().items()}
        return {own_name(key): value for key, value in read.items()} | likelihood

    def copy(self, path: Path) -> None:
        path.mkdir()
        write_json(path / "run.json", self.about)
        write_tensors(path / self.weights.name, self.tensors(), {})


def adopt(folder: Path, data: Any, size: Any, options: Options) -> tuple[Pretrained, Images]:
    """The autoencoder of a folder, and images of `size` in the channels that it takes.

    Raises: Error if the folder holds none that can be read, or there are no images.
    """
    config = read_config(folder)
    if data is None:
        raise Error(f"diffusers:{folder} brings no images of its own; give them with --data.")
    o = options
    source = Source(data, o.white, o.background, o.seed, o.validation, o.stream)
    images = open_images(source, size=size, channels=config["in_channels"])
    model = diffusers(images, config).model
    run = Pretrained(
        folder,
        {
            "recipe": DIFFUSERS,
            "arguments": {"data": source.name, "config": config},
            "edits": {},
            "options": asdict(options),
            "images": images.spec(),
            "notes": images.notes,
            "parameters": {"vae": sum(p.numel() for p in model.parameters())},
            "machine": machine(),
            "source": "",
        },
    )
    if problem := differs(model, run.tensors()):
        raise Error(
            f"The weights of {folder} are not those that its {CONFIG} describes: {problem}; copy "
            "the folder anew."
        )
    return run, images


def read_config(folder: Path) -> dict[str, Any]:
    """Raises: Error if it is not that of an AutoencoderKL that this program can build."""
    try:
        config = json.loads((folder / CONFIG).read_text())
        found = config["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Error(
            f"{folder} is no model of diffusers: it has no readable {CONFIG}; give a folder that "
            f"{CLASS}.save_pretrained wrote (of a pipeline, its folder vae)."
        ) from None
    if found != CLASS:
        raise Error(f"{folder} holds a {found}; give a folder of an {CLASS}.")
    if not (folder / WEIGHTS).exists():
        unsafe = sorted(each.name for each in folder.glob("*") if each.suffix in (".bin", ".pt"))
        why = f" ({unsafe[0]} may hold code that runs when it is read)" * bool(unsafe)
        raise Error(
            f"{folder} lacks {WEIGHTS}{why}; write it anew with "
            "save_pretrained(safe_serialization=True)."
        )
    architecture(config)
    return config


UNSAID = {  # what diffusers takes where a config does not say
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


def architecture(config: Mapping[str, Any]) -> Architecture:
    """Raises: Error if a part is not of the kind that is built here."""
    says = {**UNSAID, **config}
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


def own_name(key: str) -> str:
    """Of a tensor of diffusers: its convolutions k1 stand beside encoder and decoder."""
    key = {"quant_conv": "encoder.", "post_quant_conv": "decoder."}.get(key.split(".")[0], "") + key
    for old, new in OLD.items() if ".attentions." in key else ():
        key = key.replace(f".{old}", f".{new}")
    return key
