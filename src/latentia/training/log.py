"""The files log.jsonl (events) and timing.jsonl (seconds) of a run folder."""

import json
import os
from pathlib import Path
from typing import Any

from latentia.core.contract import Role
from latentia.core.errors import Error
from latentia.core.files import sync_file
from latentia.training.events import Row

# keys and severities of run format 1
NEW_KEYS = {
    "gauges": "monitors",
    "selected": "is_best",
    "means": "consequence",
    "figures": "values",
    "cure": "suggested_commands",
}
NEW_SEVERITIES = {"ILL": "ERROR", "WARN": "WARNING"}
# of the terms whose rows were written before rows had roles
ROLES = {"distortion": Role.RECONSTRUCTION, "rate": Role.KL, "adversarial": Role.ADVERSARIAL}
ROLES |= dict.fromkeys(("pair", "real", "fake", "reconstruction", "sample"), Role.CRITIC)


class Log:
    """Writer of log.jsonl, the same bytes for the same seed, and of timing.jsonl, which differs."""

    def __init__(self, folder: Path):
        self.events_path, self.timing_path = folder / "log.jsonl", folder / "timing.jsonl"

    def count_bytes(self) -> int:
        return self.events_path.stat().st_size if self.events_path.exists() else 0

    def truncate(self, length: int) -> None:
        """Remove the rows written after the state from which a run resumes.

        Raises: Error if the log is shorter than its state says.
        """
        if self.count_bytes() < length:
            raise Error(
                f"is not complete: log.jsonl ends at byte {self.count_bytes():,} of {length:,}. "
                "Copy it anew, or train again.",
                subject=self.events_path.parent,
            )
        if self.events_path.exists():
            os.truncate(self.events_path, length)

    def sync(self) -> None:
        """Flush the rows to disk before the state that counts them."""
        if self.events_path.exists():
            sync_file(self.events_path)

    def write_event(self, event: Row) -> None:
        _append_row(self.events_path, {"event": event.event_name, **event._asdict()})

    def write_timing(self, step: int, seconds: float, images_per_second: float) -> None:
        row = {"step": step, "seconds": round(seconds, 3), "images_per_s": round(images_per_second)}
        _append_row(self.timing_path, row)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read all complete rows of a log; a last row cut short by a kill is left out."""
    if not path.exists():
        return []
    complete_lines = path.read_text("utf-8").rpartition("\n")[0]
    return [_upgrade_row(json.loads(line)) for line in complete_lines.splitlines() if line]


def _append_row(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


def _upgrade_row(row: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys and severities of run format 1, and add the roles of older rows."""
    row = {NEW_KEYS.get(key, key): value for key, value in row.items()}
    if severity := row.get("severity"):
        row["severity"] = NEW_SEVERITIES.get(severity, severity)
    for player in row.get("players", {}).values():
        player.setdefault("roles", {k: ROLES[k] for k in player["terms"] if k in ROLES})
    return row
