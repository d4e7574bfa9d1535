"""The folder of a training: its metadata, state and weights."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentia.core.folders import refuse_outward_links
from latentia.core.locks import hold_lock
from latentia.training.checkpoint import write_json


@dataclass(frozen=True)
class TrainingFolder:
    """Folder that the training loop writes to; metadata is the content of run.json."""

    path: Path
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def initial_weights(self) -> Path:
        """Weights of --init, until the first state is saved."""
        return self.path / "init.safetensors"

    def hold_lock(self) -> AbstractContextManager[None]:
        """Lock the run for its one writer.

        Raises: Error, which names another writer, or a link in the folder that leads out of it.
        """
        refuse_outward_links(self.path)
        return hold_lock(self.lock_path, subject=self.path)

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

    def update_metadata(self, values: Mapping[str, Any]) -> None:
        """Add values to run.json."""
        if values:
            self.metadata.update(values)
            write_json(self.path / "run.json", self.metadata)
