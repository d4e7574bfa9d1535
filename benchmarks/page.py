"""The part of a page that a benchmark writes, between <!-- NAME --> and <!-- /NAME -->."""

from pathlib import Path

from latentia.training.checkpoint import atomic_write


def read_section(path: Path, name: str) -> str:
    """Return this part of a page; empty where the page has none."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    return page.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->\n")[0]


def write_section(path: Path, name: str, text: str, before: str = "") -> None:
    """Replace this part of a page; a page without it gets it before a marker, or at its end."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    if start not in page and before and before in page:
        page = page.replace(before, f"{start}{end}\n{before}", 1)
    elif start not in page:
        page = f"{page.rstrip()}\n\n{start}{end}".lstrip()
    before, rest = page.split(start, 1)
    after = rest.split(end, 1)[1]
    atomic_write(path, f"{before}{start}{text.strip()}\n{end}{after}".encode())
