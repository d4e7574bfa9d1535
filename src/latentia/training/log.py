"""The files log.jsonl (events) and timing.jsonl (seconds) of a run folder."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentia.core.contract import Role
from latentia.core.errors import DamageError, Error, catch_write_errors
from latentia.core.files import sync_file
from latentia.core.json_types import check_json, parse_json
from latentia.training.checkpoint import read_metadata
from latentia.training.events import Finding, Row, StepLogged, ValidationFinished

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

EVENTS = StepLogged, ValidationFinished, Finding
ROW_TYPES: dict[str, type] = {kind.event_name: kind for kind in EVENTS}


class Log:
    """Writer of log.jsonl, the same bytes for the same seed, and of timing.jsonl, which differs."""

    def __init__(self, folder: Path):
        self.events_path, self.timing_path = folder / "log.jsonl", folder / "timing.jsonl"
        self.sha256 = hashlib.sha256()  # of the rows so far

    def truncate(self, metadata: Mapping[str, Any]) -> None:
        """Remove the rows written after the state with this metadata, from which a run resumes.

        Raises: Error if the log is shorter than its state says, or has changed.
        """
        content = _read_committed(self.events_path, metadata)
        if self.events_path.exists():
            with catch_write_errors(self.events_path):
                os.truncate(self.events_path, len(content))
        self.sha256 = hashlib.sha256(content)

    def describe_commit(self) -> dict[str, Any]:
        """Flush the rows to disk; return their length and digest for the state."""
        length = 0
        if self.events_path.exists():
            with catch_write_errors(self.events_path):
                sync_file(self.events_path)
            length = self.events_path.stat().st_size
        return {"log_bytes": length, "log_sha256": self.sha256.hexdigest()}

    def write_event(self, event: Row) -> None:
        row = {"event": event.event_name, **event._asdict()}
        self.sha256.update(_append_row(self.events_path, row))

    def write_timing(self, step: int, seconds: float, images_per_second: float) -> None:
        row = {"step": step, "seconds": round(seconds, 3), "images_per_s": round(images_per_second)}
        _append_row(self.timing_path, row)


def read_rows(path: Path, *, check: bool = True) -> list[dict[str, Any]]:
    """Read all complete rows of a log; a last row cut short by a kill is left out.

    check: compare the rows of the saved state with its digest.

    Raises: Error if the log is damaged.
    """
    state = path.with_name("state.safetensors")
    if check and state.exists():
        _read_committed(path, read_metadata(state))
    if not path.exists():
        return []
    rows, shapes = [], set()
    for number, line in enumerate(path.read_bytes().rpartition(b"\n")[0].split(b"\n"), 1):
        if not line:
            continue
        try:
            row = _upgrade_row(parse_json(line.decode()))
            shape = row.pop("event"), _describe_shape(row)
            if shape not in shapes:  # rows of one shape are checked once
                check_json(row, ROW_TYPES.get(shape[0], dict[str, Any]))
                shapes.add(shape)
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            problem = str(error) if isinstance(error, Error) else "there is no row of a log."
            text = f"is damaged: in line {number} of {path.name}, {problem} Copy the file anew."
            raise DamageError(text, subject=path.parent) from None
        rows.append({"event": shape[0], **row})
    return rows


def _describe_shape(value: Any) -> Any:
    """Return the keys and types of a value of JSON, and of those in it."""
    if isinstance(value, dict):
        return tuple((name, _describe_shape(member)) for name, member in value.items())
    return tuple(map(_describe_shape, value)) if isinstance(value, list) else type(value)


def digest_rows(path: Path, length: int) -> dict[str, Any]:
    """Return length and digest of the rows that belong to a state."""
    content = _read_committed(path, {"log_bytes": length})
    return {"log_bytes": length, "log_sha256": hashlib.sha256(content).hexdigest()}


def _read_committed(path: Path, metadata: Mapping[str, Any]) -> bytes:
    """Read the rows that belong to a state with this metadata."""
    length, digest = metadata.get("log_bytes"), metadata.get("log_sha256")
    if length is None:
        text = "is damaged: in state.safetensors, the field log_bytes is missing. Copy it anew."
        raise DamageError(text, subject=path.parent)
    content = b""
    if path.exists():
        with path.open("rb") as file:
            content = file.read(length)
    damage = f"is damaged: log.jsonl holds other bytes than were written to byte {length:,}"
    if len(content) < length:
        damage = f"is not complete: log.jsonl ends at byte {len(content):,} of {length:,}"
    elif digest in (None, hashlib.sha256(content).hexdigest()):
        return content
    raise DamageError(f"{damage}. Copy it anew, or train again.", subject=path.parent)


def _append_row(path: Path, row: dict[str, Any]) -> bytes:
    line = (json.dumps(row, allow_nan=False) + "\n").encode()
    with catch_write_errors(path), path.open("ab") as file:
        file.write(line)
    return line


def _upgrade_row(row: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys and severities of run format 1, and add the roles of older rows."""
    row = {NEW_KEYS.get(key, key): value for key, value in row.items()}
    if severity := row.get("severity"):
        row["severity"] = NEW_SEVERITIES.get(severity, severity)
    for player in row.get("players", {}).values():
        player.setdefault("roles", {k: ROLES[k] for k in player["terms"] if k in ROLES})
    return row
