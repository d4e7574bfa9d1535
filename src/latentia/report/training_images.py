"""Images rendered during training: samples of one seed, and one image's reconstruction."""

from pathlib import Path

from PIL import Image
from torch import Tensor

from latentia.core.errors import DamageError, catch_write_errors
from latentia.report.grids import encode_png, make_grid
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import atomic_write
from latentia.training.events import ImagesRendered


def save_training_images(run: RunFolder, event: ImagesRendered) -> None:
    """Write an event's images to the run folder; their names hold the epoch.

    A resumed run writes the same names again.
    """
    folder = run.path / "progress"
    with catch_write_errors(folder):
        folder.mkdir(exist_ok=True)
    for kind, images in select_strips(event).items():
        caption = f"{run.name}: {kind}, epoch {event.epoch}, seed 0"
        picture = make_grid(images, len(images), "")
        atomic_write(folder / f"{kind}-{event.epoch:04}.png", encode_png(picture, caption))


def select_strips(event: ImagesRendered) -> dict[str, Tensor]:
    """Return the event's images by kind, without kinds that it lacks."""
    strips = {"samples": event.samples, "tracked": event.tracked_reconstruction}
    return {kind: images for kind, images in strips.items() if images is not None}


def list_training_images(
    run: RunFolder, kind: str, max_files: int = 1000
) -> list[tuple[int, Path]]:
    """Return (epoch, file) in order, evenly spaced if there are more than max_files.

    Raises: Error if one is damaged.
    """
    paths = (run.path / "progress").glob(f"{kind}-*.png")
    files = sorted((int(path.stem.rsplit("-", 1)[1]), path) for path in paths)
    if len(files) > max_files:
        files = [files[round(k * (len(files) - 1) / (max_files - 1))] for k in range(max_files)]
    for _, path in files:
        try:
            with Image.open(path) as image:
                image.verify()  # compares every chunk with its CRC-32
        except Exception as error:  # the kinds depend on where the damage is
            text = "is damaged; remove it, and draw the report anew."
            raise DamageError(text, subject=path) from error
    return files
