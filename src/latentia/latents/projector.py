"""Files of TensorBoard's embedding projector, beside the vectors: metadata, sprite and config."""

import io
import json
import math
import re
from pathlib import Path

import pyarrow as pa
from PIL import Image

from latentia.data import Split
from latentia.latents.encoding import MAX_BATCH_SIZE, name_dims
from latentia.latents.thumbnails import THUMBNAIL_SIDE, to_pillow
from latentia.training.checkpoint import atomic_write

CONFIG_NAME = "projector_config.pbtxt"  # the only name that TensorBoard looks for
MAX_SPRITE_SIDE = 8192  # pixels; a browser holds no larger texture


def write_projector_files(
    path: Path, table: pa.Table, split: Split, shape: tuple[int, ...]
) -> None:
    """Write v_metadata.tsv, v_sprite.png and projector_config.pbtxt beside the vectors v.tsv.

    Row k of the metadata and cell k of the sprite, counted row by row, belong to vector k. The
    configuration keeps its entries of other vectors.
    """
    dims = {f"{part}_{k}" for part in ("mu", "sd") for k in name_dims(shape)}
    columns = {name: table[name].to_pylist() for name in table.column_names if name not in dims}
    rows = [columns, *zip(*columns.values(), strict=True)]
    lines = ["\t".join(" ".join(str(cell).split()) for cell in row) for row in rows]
    picture, cell = make_sprite(split)
    sprite = io.BytesIO()
    picture.save(sprite, "png")
    names = path.name, f"{path.stem}_metadata.tsv", f"{path.stem}_sprite.png"
    vectors, metadata, image = (json.dumps(name, ensure_ascii=False) for name in names)
    config = path.with_name(CONFIG_NAME)
    text = config.read_text("utf-8") if config.exists() else ""
    entries = [e for e in re.split("(?=^embeddings)", text, flags=re.M) if vectors not in e]
    entries.append(
        f"embeddings {{\n  tensor_name: {vectors}\n  tensor_path: {vectors}\n"
        f"  metadata_path: {metadata}\n"
        f"  sprite {{ image_path: {image} single_image_dim: {list(cell)} }}\n}}\n"
    )
    atomic_write(path.with_name(names[1]), "".join(f"{line}\n" for line in lines).encode())
    atomic_write(path.with_name(names[2]), sprite.getvalue())
    atomic_write(config, "".join(entries).encode())


def make_sprite(split: Split) -> tuple[Image.Image, tuple[int, int]]:
    """Return a grid of thumbnails, as many columns as rows, and width and height of a thumbnail."""
    side, (h, w) = math.ceil(len(split) ** 0.5), split.pixels.shape[2:]
    scale = min(1.0, min(THUMBNAIL_SIDE, MAX_SPRITE_SIDE / side) / max(h, w))
    width, height = max(1, int(w * scale)), max(1, int(h * scale))
    sheet, k = Image.new("RGB", (side * width, side * height), "white"), 0
    for batch in split.iterate_batches(split.max_batch_size(MAX_BATCH_SIZE)):
        for image in to_pillow(batch.image):
            sheet.paste(image.resize((width, height)), (k % side * width, k // side * height))
            k += 1
    return sheet, (width, height)
