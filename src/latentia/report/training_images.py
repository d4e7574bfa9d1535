"""Pictures kept while a run trains: samples of one seed, and one image's reconstruction."""

from pathlib import Path

from torch import Tensor

from latentia.report.grids import lay, png
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import write_whole
from latentia.training.events import Pictured


def keep_pictures(run: RunFolder, event: Pictured) -> None:
    """Named by epoch: a resumed run writes the same names anew."""
    folder = run.path / "progress"
    folder.mkdir(exist_ok=True)
    for kind, images in strips(event).items():
        caption = f"{run.name}: {kind}, epoch {event.epoch}, seed 0"
        picture = lay(images, len(images), "")
        write_whole(folder / f"{kind}-{event.epoch:04}.png", png(picture, caption))


def strips(event: Pictured) -> dict[str, Tensor]:
    """What there is to see, by kind."""
    found = {"samples": event.samples, "tracked": event.tracked}
    return {kind: images for kind, images in found.items() if images is not None}


def pictures_of(run: RunFolder, kind: str, most: int = 1000) -> list[tuple[int, Path]]:
    """(epoch, file) in order, at most so many of them, the first and the last among them."""
    paths = (run.path / "progress").glob(f"{kind}-*.png")
    found = sorted((int(path.stem.rsplit("-", 1)[1]), path) for path in paths)
    if len(found) > most:
        found = [found[round(k * (len(found) - 1) / (most - 1))] for k in range(most)]
    return found
