"""Images that the explorer reads, and those that it renders."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from latentia.core.text import join_command
from latentia.report.rendered_images import RenderedImages


class InputImage(NamedTuple):
    """An image (1, c, h, w), its name in a command, and its key if it is one of the run's images.

    flags: options with which a command finds the image by that name; columns: its labels
    """

    name: str
    image: Tensor
    flags: list[str]
    key: str | None = None
    columns: Mapping[str, Tensor] = {}


class Rendering(NamedTuple):
    """Rendered images, the words of the command that writes them, and more values for the page."""

    images: RenderedImages
    command: list[str]
    extra: dict[str, Any]

    def format_command(self, suffix: str) -> str:
        return join_command([*self.command, "--out", f"{self.command[1]}{suffix}"])
