"""The part of a page that a benchmark writes, between <!-- NAME --> and <!-- /NAME -->."""

from pathlib import Path

from latentia.training.checkpoint import atomic_write


def write_section(path: Path, name: str, text: str) -> None:
    """Replace this part of a page; a page without it gets it at its end."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    if start not in page:
        page = f"{page.rstrip()}\n\n{start}{end}".lstrip()
    before, rest = page.split(start, 1)
    after = rest.split(end, 1)[1]
    atomic_write(path, f"{before}{start}{text.strip()}\n{end}{after}".encode())
