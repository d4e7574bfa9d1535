"""Every ± says what it is: in documents, on the terminal, in a notebook, in a report."""

import html
import re
from pathlib import Path

import numpy as np
import pytest

import latentia
from latentia.cli.main import main
from latentia.report.model_card import format_metrics
from latentia.runs.folder import RunFolder

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
ERROR = re.compile(r"\d ?(±|\+-) ?\d|± sd")
MEANING = re.compile(r"standard error|standard deviation|95 % (bootstrap )?interval")


NUMBERS = re.compile(r"(-?\d[\d,.]*)(?: %)? ?(?:±|\+-) ?(\d[\d,.]*(?:e-?\d+)?)")


def find_superfluous_digits(text):
    """Values that do not end where their error does, and errors of more than two digits."""
    wrong = []
    for match in NUMBERS.finditer(text):
        value, error = (each.rstrip(".,").replace(",", "") for each in match.groups())
        digits = error.replace(".", "").lstrip("0")
        digits = digits if "." in error else digits.rstrip("0")
        are_aligned = len(value.partition(".")[2]) == len(error.partition(".")[2])
        if not are_aligned or len(digits) > 2 or "e" in error:
            wrong.append(match[0])
    return wrong


def says_what(text):
    return not ERROR.search(text) or bool(MEANING.search(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_chapter_of_a_page_says_what_its_errors_are(page):
    chapters = re.split(r"(?m)^(?=##? )", page.read_text())
    silent = [chapter.splitlines()[0] for chapter in chapters if not says_what(chapter)]
    assert silent == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_value_of_a_page_ends_where_its_error_does(page):
    assert find_superfluous_digits(page.read_text()) == []


def test_every_docstring_says_what_its_errors_are():
    files = (ROOT / "src").rglob("*.py")
    texts = {path: re.findall(r'""".*?"""', path.read_text(), re.S) for path in files}
    assert [path.name for path, each in texts.items() if not all(map(says_what, each))] == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("errors") / "run"
    options = {"hidden": 8, "latent": 3, "epochs": 1, "batch": 32, "multirate": "0.5:2"}
    latentia.train("mnist_mlp_vae", "digits:400", run=path, progress=False, **options)
    return path


def test_every_output_says_what_its_errors_are(run, capsys):
    outputs, choose = {}, ["choose", str(run), "-n", "40", "--points", "3"]
    for words in (
        ["evaluate", str(run), "--metrics", "elbo,pca,probe,fd,kd,prdc,image"],
        [*choose, "--for", "reconstruction"],
        [*choose, "--for", "sampling", "--features", "pixels"],
        ["relate", str(run), "--permutations", "19"],
        ["doctor", str(run)],
        ["report", str(run)],
    ):
        capsys.readouterr()
        assert main(words) == 0, words
        outputs[words[0]] = outputs.get(words[0], "") + capsys.readouterr().out
    assert ERROR.search(outputs["evaluate"])
    assert ERROR.search(outputs["choose"])
    outputs["page"] = html.unescape((run / "report.html").read_text())
    assert ERROR.search(outputs["page"])
    assert [name for name, text in outputs.items() if not says_what(text)] == []
    assert [each for text in outputs.values() for each in find_superfluous_digits(text)] == []
    # the floor stands wherever a distance does
    assert "fd_real" in outputs["evaluate"]
    assert "kd_real" in outputs["evaluate"]
    assert "The distance of other real images is" in outputs["choose"]


def test_every_result_says_what_its_error_is_by_itself(run):
    results = latentia.load(run).evaluate("elbo", "probe")
    lines = repr(results).splitlines()
    assert all(says_what(line) for line in lines)
    assert sum("± standard error" in line for line in lines) >= 4
    assert "[95 % interval]" in lines[-1]
    by_name = {row[0]: row for row in format_metrics(RunFolder.open(run))}
    low, high = map(float, by_name["probe_label"][2].split(" to "))
    assert np.allclose((low, high), results["probe_label"].interval, atol=0.005)
    assert "PCA of 3 dimensions" in by_name["probe_label"][-1]
