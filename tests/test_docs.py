"""Every command and every Python block of README and docs runs in order, at toy size."""

import ast
import inspect
import itertools
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.shards import counted
from latentia.cli.arguments import check_option_names
from latentia.cli.main import COMMANDS, main
from latentia.cli.train_arguments import parse_train_arguments
from latentia.core.plugins import load_plugin
from latentia.metrics import label_classifier
from latentia.runs.recipes import find_recipe, read_card, register_recipe, resolve_parameters
from latentia.training.step_times import StepTimes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)
SMALL = {
    "digits": "digits:300",
    "mnist": "digits:300",
    "vehicles": "vehicles:60",
    "sprites": "sprites:2100",
    "speckle": "speckle:40",
}


RUNS = {
    "runs/digits_vae": ["train", "digits_vae"],
    "runs/photos": ["train", "conv_vae", "--data", "photos", "--size", "32", "--latent", "4"],
}
MAKES = {run: re.compile(rf"--run {run}\b|latentia fit {run[5:]}") for run in RUNS}
GLOSSARY = ROOT / "docs/reference/glossary.md"
EVERYDAY = re.compile(  # entries of the glossary that are also everyday words
    "Beta|Condition|Excess|Features|Floor|Interpolation|Level|Memorisation|Option|Parameter|Plan|Player|"
    "Recipe|Run|Run folder|Sharpness|Sigma|Standard error|Sweep|mse and mse_draws"
)
NOT_PROSE = r"^```.*?^```$|<!--.*?-->|!\[[^]]*\]\([^)]*\)|`[^`]*`|^[#|].*?$"
NOT_INSTALLED = "# needs: pip install statsmodels"  # first line of a block that is not run


def find_blocks(page):
    return BLOCK.findall(page.read_text())


def split_commands(text):
    """Return the commands of a block as lists of words, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture
def example_folder(tmp_path, monkeypatch, narrow, fresh_registries):
    """A folder with the files that the pages use: photos, labels, a picture."""
    draw = np.random.default_rng(0)
    for k in range(60):
        file = tmp_path / "photos" / "ab"[k % 2] / f"{k:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (40, 36), dtype=np.uint8)).save(file)
    for name, step in (("noisy", 2), ("clean", 1)):
        (tmp_path / name).mkdir()
        for k in range(40):
            pixels = draw.integers(0, 256, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels[::step, ::step]).save(tmp_path / name / f"{k:02}.png")
    counted(tmp_path / "shards", shards=8, each=8, size=(40, 36))
    names = [f"{'ab'[k % 2]}/{k:02}.png,{k % 7},{'pq'[k % 3 == 0]}" for k in range(60)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,Year,plate", *names]))
    (tmp_path / "docs" / "images").mkdir(parents=True)
    shutil.copy(ROOT / "docs/images/digits.png", tmp_path / "docs/images")
    monkeypatch.chdir(tmp_path)
    # a classifier of few steps, which no other test finds in the cache
    for name, value in {"MIN_EPOCHS": 1, "MIN_STEPS": 20, "CLASSIFIER_VERSION": "toy"}.items():
        monkeypatch.setattr(label_classifier, name, value)
    monkeypatch.setattr("latentia.metrics.disentanglement.TREES", 5)
    return tmp_path


def shrink_training(words):
    """Return the words of a training on small data for one epoch, otherwise unchanged."""
    name, arguments = words[0], words[1:]
    recipe = name if ".py" not in name else "my.py:mine"
    values = dict(itertools.pairwise(arguments))
    data = values.get("--data", "" if ".py" in name else read_card(recipe).default_data)
    small_data = SMALL.get(data, data)
    options = ["--epochs", "1", "--threads", "1"]
    parameters = resolve_parameters(register_recipe(recipe), {})
    options += ["--batch", "16"] if "batch" in parameters else []
    options += ["--size", "32"] if "size" in parameters and "autoencoder" not in parameters else []
    for small in ("latent", "width"):
        options += (
            [f"--{small}", "16"] if small in parameters and f"--{small}" not in arguments else []
        )
    options += ["--data", small_data] if small_data and "autoencoder" not in parameters else []
    return [name, *arguments, *options]


def run_command(words, monkeypatch):
    """Run a command of latentia; a server is not started."""
    if "--plugin" in words:
        load_plugin(words[words.index("--plugin") + 1])
    command, arguments = words[0], words[1:]
    is_remote = any(mark in word for word in words for mark in (":OWNER/", ":FOLDER", "://"))
    is_benchmark = command != "train" and arguments and arguments[0].startswith("runs/dis/")
    if command == "push" or is_remote or is_benchmark:
        check_options(command, arguments)  # needs the hub, a folder or a benchmark's run
        return
    if command == "train":
        words = ["train", *shrink_training(arguments)]
    if command == "fit":  # an epoch of each training
        minutes = float(words[words.index("--minutes") + 1])
        times = StepTimes(0.0, 35 * minutes, 0.0, 0.0)
        monkeypatch.setattr("latentia.api.epochs.measure_step_times", lambda *_: times)
        words = [*words, "--features", "none", "--width", "4", "--threads", "1"]
    if command == "sweep":
        small = ["--epochs", "1", "--batch", "16", "--data", "digits:300"]
        words = [*words, "--trials", "2", *small]
    if command == "evaluate" and "nll" in " ".join(words):
        words = [*words, "--k", "20"]
    if command == "project":
        words = [*words, "--steps", "10"]
    if command == "relate":
        words = [*words, "--permutations", "19"]
    if command == "explore":
        served = []
        monkeypatch.setattr(
            "latentia.explorer.server.serve_explorer", lambda *how: served.append(how)
        )
        assert main(words) == 0
        assert served
        return
    assert main(words) == 0, words


def check_options(command, arguments):
    if command == "train":
        parse_train_arguments(arguments[0], arguments[1:])
        assert callable(find_recipe(arguments[0]))
    else:
        parameters = inspect.signature(COMMANDS[command]).parameters
        names = [name.rstrip("_") for name in parameters]
        check_option_names(command, arguments, names, f"latentia {command}")


def check_command(words):
    """Check a command of another program: its file exists and has these options."""
    program = words[0]
    if program == "make":
        rules = (ROOT / "Makefile").read_text()
        assert all(re.search(rf"^{name}:", rules, re.M) for name in words[1:] if "=" not in name)
    elif program == "pip":
        extras = re.findall(r"latentia\[(.*?)\]", " ".join(words))
        project = (ROOT / "pyproject.toml").read_text()
        assert all(f"{name} = [" in project for each in extras for name in each.split(","))
    elif program in ("pytest", "sbatch"):
        paths = [word for word in words[1:] if "/" in word and not word.startswith("/")]
        assert (ROOT / paths[0]).exists()
    elif program == "python":
        source = (ROOT / words[1]).read_text()
        flags = [word for word in words[2:] if word.startswith("--")]
        assert all(f'"{flag}"' in source for flag in flags), words
    elif program == "torchrun":
        command, *arguments = words[words.index("latentia") + 1 :]
        check_options(command, arguments)
    else:
        raise AssertionError(f"unknown program {program}: {words}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_can_be_followed(page, example_folder, monkeypatch, capsys):
    for run, words in RUNS.items():
        if run in page.read_text() and not MAKES[run].search(page.read_text()):
            assert main([*words, "--epochs", "1", "--run", run]) == 0
    names = {}  # a block goes on where the one before it ends
    for kind, text in find_blocks(page):
        if kind == "python":
            Path("my.py").write_text(text, encoding="utf-8")
            if text.startswith(("# my.py", NOT_INSTALLED)):  # the commands after it load the file
                continue
            monkeypatch.setattr(sys, "argv", ["my.py"])
            exec(compile(text.replace("epochs=30", "epochs=1"), page.name, "exec"), names)
            continue
        for words in split_commands(text):
            if words[0] == "latentia":
                run_command(words[1:], monkeypatch)
            else:
                check_command(words)


def slugify(heading):
    """Return the anchor of a heading, as GitHub and the site make it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def find_unlinked_terms(text, terms):
    """Terms whose first use in the prose of a page does not link the glossary."""
    prose = re.sub(NOT_PROSE, "", text, flags=re.M | re.S)
    links = [match.span() for match in re.finditer(r"\[[^]]*\]\([^)]*\)", prose)]
    uses = {t: re.search(rf"(?<![\w-]){t}s?(?![\w-])", prose, re.I) for t in terms}
    return [
        term
        for term, use in uses.items()
        if use and not any(start <= use.start() < end for start, end in links)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_term_of_art_links_the_glossary_at_its_first_use(page):
    names = re.findall("^### (.*)$", GLOSSARY.read_text(), re.M)
    terms = [re.escape(n).replace(r"\ ", r"\s+") for n in names if not EVERYDAY.fullmatch(n)]
    assert "Latent" in find_unlinked_terms("A latent, then a [latent](x.md).", terms)
    if page.name not in ("glossary.md", "commands.md", "python.md", "recipes.md", "doctor.md"):
        assert find_unlinked_terms(page.read_text(), terms) == []


PROSE = re.compile(r"`[^`\n]*`|^```(?:sh|python).*?^```|--[\w-]+|[\"'_]\w+", re.M | re.S)


def test_sentences_have_neighbours():
    """Names keep their neighbors: an option, a field of a result, a class of scikit-learn."""
    texts = {path: path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]}
    for path in (ROOT / "src").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        strings = (node.value for node in nodes if isinstance(node, ast.Constant))
        texts[path] = "\n".join(each for each in strings if isinstance(each, str) and " " in each)
    found = {path.name for path, text in texts.items() if "neighbor" in PROSE.sub("", text).lower()}
    assert found == set()


OUTSIDE_THE_SITE = [
    *ROOT.glob("*.md"),
    *(ROOT / "dev").glob("*.md"),
    *(ROOT / ".github").glob("*.md"),
]


@pytest.mark.parametrize("page", OUTSIDE_THE_SITE, ids=lambda page: page.name)
def test_every_link_outside_the_site_leads_somewhere(page):
    """`mkdocs build --strict` follows those of the site."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            text = file.read_text()
            anchors = [slugify(line.lstrip("#")) for line in text.splitlines() if line[:1] == "#"]
            anchors += re.findall(r'<a id="([^"]+)"', text)
            assert anchor in anchors, target


def test_the_readme_is_short_and_begins_with_demo_and_test():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    commands = [words for kind, block in BLOCK.findall(text) for words in split_commands(block)]
    assert commands[:2] == [["make", "demo"], ["make", "test"]]
