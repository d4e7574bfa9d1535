"""Every row of the page "What is read" is a test."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]
PAGE = (ROOT / "docs/reference/data.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
TABLE_LINES = [line for line in PAGE.splitlines() if line.startswith("|")]
ROWS = [line for line in TABLE_LINES if "::test_" in line]


def split_cells(row):
    r"""Return the cells of a row; \| is no border."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def find_tests(cell):
    """Return file and name of each test that a cell names, such as `test_folder.py::test_x`."""
    return re.findall(r"`(\S+\.py)::(test_\w+)`", cell)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: split_cells(row)[0])
def test_every_row_names_a_test_that_exists(row):
    cells = split_cells(row)
    assert len(cells) == 4
    assert all(cells)
    tests = find_tests(cells[3])
    assert tests, f"{cells[3]} names no test as `test_folder.py::test_name`"
    for file, name in tests:
        text = (TESTS / file).read_text()
        assert re.search(rf"^def {name}\(", text, re.M), f"{file} has no {name}"


def test_a_table_has_a_header_and_otherwise_rows_with_tests():
    headers = [line for line in TABLE_LINES if line.endswith("| Test |")]
    rules = [line for line in TABLE_LINES if set(line) == set("|-")]
    assert len(headers) == len(rules)
    assert all("| Test |\n|---" in text for text in SECTIONS.values())
    assert len(TABLE_LINES) == len(headers) + len(rules) + len(ROWS)


def test_the_page_has_its_sections_and_stands_in_the_navigation():
    assert list(SECTIONS) == ["Layouts of folders", "Formats", "Value ranges", "Labels"]
    assert re.search(
        r"^ +- What is read: reference/data\.md$", (ROOT / "mkdocs.yml").read_text(), re.M
    )
