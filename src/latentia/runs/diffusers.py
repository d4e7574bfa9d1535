"""An AutoencoderKL of diffusers, opened as a run folder: read, never executed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from latentia.core.errors import Error
from latentia.data import Images, open_images
from latentia.data.reading import Reading
from latentia.data.sources.registry import LabelledData, make_source
from latentia.losses.likelihoods import SymmetricGaussian
from latentia.recipes.diffusers_autoencoder import MODEL_CLASS, diffusers, read_architecture
from latentia.runs.folder import RunFolder
from latentia.runs.metadata import FORMAT
from latentia.runs.provenance import describe_machine
from latentia.runs.recipes import DIFFUSERS
from latentia.training.checkpoint import read_tensors, write_json, write_tensors
from latentia.training.plan import Options
from latentia.training.state import find_mismatch

CONFIG_FILE, WEIGHTS_FILE = "config.json", "diffusion_pytorch_model.safetensors"
# of attention, in older versions of diffusers
OLD_NAMES = {"query.": "to_q.", "key.": "to_k.", "value.": "to_v.", "proj_attn.": "to_out.0."}


@dataclass(frozen=True)
class DiffusersFolder(RunFolder):
    """Folder of diffusers with the metadata that its run.json would have."""

    def load_tensors(self) -> dict[str, Tensor]:
        """Read the weights, under the names of latentia's networks."""
        checkpoint = read_tensors(self.path / WEIGHTS_FILE)[0]
        likelihood = {f"likelihood.{k}": v for k, v in SymmetricGaussian().state_dict().items()}
        return {rename_tensor(key): value for key, value in checkpoint.items()} | likelihood

    def copy_model(self, path: Path) -> None:
        """Write the model as a run folder of latentia."""
        path.mkdir()
        write_json(path / "run.json", self.metadata)
        write_tensors(path / self.weights.name, self.load_tensors(), {})


def open_diffusers_folder(
    folder: Path, data: Any, size: Any, options: Options
) -> tuple[DiffusersFolder, Images]:
    """Open the autoencoder of a folder, and images of `size` with its number of channels.

    Raises: Error if the folder holds no readable autoencoder, or no images are given.
    """
    config = read_config(folder)
    if data is None:
        raise Error(f"diffusers:{folder} brings no images of its own; give them with --data.")
    data = data if options.labels is None else LabelledData(data, options.labels)
    source = make_source(data, Reading.from_options(options))
    images = open_images(source, size=size, channels=config["in_channels"])
    model = diffusers(images, config).model
    metadata = {
        "format": FORMAT,
        "recipe": DIFFUSERS,
        "arguments": {"data": source.name, "config": config},
        "modifiers": {},
        "options": asdict(options),
        "images": images.to_metadata(),
        "notes": images.notes,
        "parameters": {"vae": sum(p.numel() for p in model.parameters())},
        "machine": describe_machine(),
        "source": "",
    }
    run = DiffusersFolder(folder, metadata)
    if mismatch := find_mismatch(model, run.load_tensors()):
        raise Error(f"Weights of {folder} do not fit its {CONFIG_FILE}: {mismatch}; copy it anew.")
    return run, images


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.json. Raises: Error if it describes no AutoencoderKL that can be built here."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
        class_name = config["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Error(
            f"{folder} is no model of diffusers: it has no readable {CONFIG_FILE}; give a folder "
            f"that {MODEL_CLASS}.save_pretrained wrote (of a pipeline, its folder vae)."
        ) from None
    if class_name != MODEL_CLASS:
        raise Error(f"{folder} holds a {class_name}; give a folder of an {MODEL_CLASS}.")
    if not (folder / WEIGHTS_FILE).exists():
        pickles = sorted(file.name for file in folder.glob("*") if file.suffix in (".bin", ".pt"))
        reason = f" ({pickles[0]} may hold code that runs when it is read)" if pickles else ""
        raise Error(f"{folder} lacks {WEIGHTS_FILE}{reason}; save it with safe_serialization=True.")
    read_architecture(config)
    return config


def rename_tensor(key: str) -> str:
    """Translate the name of a tensor of diffusers to that of latentia's networks."""
    key = {"quant_conv": "encoder.", "post_quant_conv": "decoder."}.get(key.split(".")[0], "") + key
    for old, new in OLD_NAMES.items() if ".attentions." in key else ():
        key = key.replace(f".{old}", f".{new}")
    return key
