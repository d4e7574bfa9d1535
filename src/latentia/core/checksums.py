"""SHA-256 of a file's own bytes, which stands near the file's beginning."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

BLANK = "0" * 64  # in the place of the checksum when the checksum is computed
# the place in a JSON file, and in the JSON within the header of a safetensors file
STARTS = {".json": len('{\n "checksum": "')}
TENSORS_START = 8 + len(r'{"__metadata__":{"about":"{\"checksum\": \"')


def seal_content(content: bytes) -> bytes:
    """Put the checksum of the content in the place of the first `BLANK`."""
    return content.replace(BLANK.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def is_intact(path: Path) -> bool | None:
    """Whether a file holds the bytes that were written; None if it has no checksum.

    The result is kept for as long as the file's time and size stay.
    """
    status = path.stat()
    return _compare_checksum(path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache
def _compare_checksum(path: Path, *_: int) -> bool | None:
    start = STARTS.get(path.suffix, TENSORS_START)
    with path.open("rb") as file:
        head, checksum = file.read(start), file.read(len(BLANK))
        # one damaged character must not make it a file without a checksum
        if len(re.findall(rb"[0-9a-f]", checksum)) < len(BLANK) - 1:
            return None
        sha256 = hashlib.sha256(head + BLANK.encode())
        hashlib.file_digest(file, lambda: sha256)
    return sha256.hexdigest().encode() == checksum
