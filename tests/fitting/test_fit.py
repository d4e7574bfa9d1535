"""`latentia fit`: a folder of images to coordinates, samples and a report, in minutes."""

import html
import inspect
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

import latentia
from latentia.api.progress import show_events
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.data import Images
from latentia.data.sources.registry import LabelledData
from latentia.fitting import rules
from latentia.fitting.fit import make_request
from latentia.fitting.stages import Fit
from latentia.training.checkpoint import write_json
from latentia.training.events import EndReason, TrainingFinished
from latentia.training.loop import Loop
from latentia.training.plan import Options
from latentia.training.step_times import StepTimes
from latentia.training.validation import Validator
from mistakes import error

FILES = ("log.jsonl", "weights.safetensors", "state.safetensors")
TOY = ["--latent", "4", "--batch", "16", "--features", "none", "--width", "4", "--log-every", "2"]
SMALL = {"latent": 4, "width": 4, "features": "none"}
MINUTES = 6.3  # few epochs by the times of the fixture
# a process that copies its folder when the N-th file of a name is in its place, which is what a
# kill would leave there, and kills itself after the last copy
KILLED = """import json, os, shutil, signal, sys
import latentia.api.training, latentia.fitting.fit
from collections import Counter
from latentia.api import epochs
from latentia.cli.main import main
from latentia.data.sources.registry import LabelledData
from latentia.fitting import rules
from latentia.report import page
from latentia.training.step_times import StepTimes

epochs.measure_step_times = lambda *_: StepTimes(0.0, 100.0, 0.0, 10.0)
rules.PRIOR_WIDTH_FEW = 16
page.write_report = lambda *_: None
points = json.loads(sys.argv[1])
replace, counts = os.replace, Counter()

def replace_and_copy(source, target):
    replace(source, target)
    name = "/".join(str(target).split("/")[-2:])
    counts[name] += 1
    for folder in [folder for folder, *point in points if point == [name, counts[name]]]:
        shutil.copytree(".", folder, dirs_exist_ok=True)
        points[:] = [point for point in points if point[0] != folder]
    if not points:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace_and_copy
main(sys.argv[2:])
"""


def read_fit(name, path="runs/photos"):
    return json.loads(Path(path, "fit.json").read_text("utf-8"))[name]


def read_bits(path):
    return {name: (path / name).read_bytes() for name in FILES}


def list_words(photos, *words, minutes=MINUTES):
    return ["fit", str(photos), "--minutes", str(minutes), *TOY, *words]


@pytest.fixture(scope="module")
def bits_by_hand():
    """What the commands of stages give by hand, by recipe, number of epochs and condition."""
    return {}


@pytest.fixture
def check_bits(tmp_path, bits_by_hand):
    """Check that each stage of the fit in this folder has the bits of its command by hand."""

    def check():
        stages, commands = read_fit("stages"), read_fit("commands")
        paths = [tmp_path / stage["run"] for stage in stages]
        actual = [read_bits(path) for path in paths]
        keys = [
            (stage["recipe"], stage["parameters"]["epochs"], stage["parameters"].get("cond"))
            for stage in stages
        ]
        for key, command, path in zip(keys, commands, paths, strict=False):
            if key not in bits_by_hand:
                path.rename(path.with_name("aside"))
                assert main(shlex.split(command)[1:]) == 0
                bits_by_hand[key] = read_bits(path)
                shutil.rmtree(path)
                path.with_name("aside").rename(path)
        assert actual == [bits_by_hand[key] for key in keys]

    return check


def test_a_fit_says_what_it_understands_and_runs_commands(
    photos, set_times, tmp_path, capsys, check_bits
):
    set_times()
    assert main(list_words(photos)) == 0
    out, err = capsys.readouterr()
    commands = [line for line in out.splitlines() if line.startswith("latentia ")]
    assert [line.split()[1] for line in commands] == ["train", "train", "encode", "report"]
    assert read_fit("commands") == commands
    for text in ("50 train", "labels: label (2 classes)", "60 images are few"):
        assert text in err
    for text in ("Images of 12x10, read at 12x10.", "prior: conditioned on label (cat, dog)."):
        assert text in err.splitlines()
    assert f"In {MINUTES} minutes, in runs/photos: " in err
    assert err.count("50 train") == 1  # of both trainings and the fit
    assert len(pd.read_csv("runs/photos/latents.csv")) == 60
    page = Path("runs/photos/report.html").read_text("utf-8")
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[:3] == ["Map", "Samples conditioned on label", "Traversals"]
    text = html.unescape(re.sub("<.*?>", "", page))
    assert commands[1] in text
    for run, change in (("photos", "the changed option, or "), ("photos-prior", "")):
        advice = latentia.load(f"runs/{run}").diagnose().advice
        begin, command, end = advice.split("`")
        assert re.match("This command trains one run alone|These commands train one run", begin)
        assert begin.endswith(f" With {change}more --minutes in place of --epochs, ")
        assert end == " makes both runs, table and report."
        assert (advice in text) == (run == "photos")
        words = shlex.split(command)
        request = {"data": words[2]} | {
            k[2:]: v for k, v in zip(words[3::2], words[4::2], strict=True)
        }
        assert Path(request.pop("run")).resolve() == tmp_path / "runs/photos-2"
        assert request == {k.replace("_", "-"): v for k, v in read_fit("request").items()}
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*")}
    assert main(list_words(photos)) == 0  # a second one changes nothing
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert capsys.readouterr().out.splitlines()[-1] == "runs/photos/report.html"
    check_bits()
    table = Path("runs/photos/latents.csv").read_bytes()
    assert main(shlex.split(commands[2])[1:]) == 0
    assert Path("runs/photos/latents.csv").read_bytes() == table


@pytest.fixture
def no_figures(monkeypatch):
    """The last report is a file without figures, which take most of a fit's time."""

    def write_page(folder, *_):
        page = folder.path / "report.html"
        page.write_text("", "utf-8")
        return page

    monkeypatch.setattr("latentia.api.run.write_report", write_page)


POINTS = [
    ("photos/fit.json", 1),  # the numbers are stored, and there is no run yet
    ("photos/state.safetensors", 1),
    ("photos/state.safetensors", 3),
    ("photos/fit.json", 2),
    ("photos-prior/state.safetensors", 2),
    ("photos/latents.csv", 1),  # that of the closed form
    ("photos/latents.csv", 2),
]


@pytest.fixture(scope="module")
def killed_fits(photos, tmp_path_factory):
    """Folders with a fit that was killed, by point."""
    folders = {point: tmp_path_factory.mktemp("killed") for point in POINTS}
    points = json.dumps([(str(folder), *point) for point, folder in folders.items()])
    command = [sys.executable, "-c", KILLED, points, *list_words(photos)]
    folder = tmp_path_factory.mktemp("fit")
    process = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert process.returncode == -signal.SIGKILL, process.stderr
    return folders


@pytest.mark.parametrize("point", POINTS, ids=lambda point: "-".join(map(str, point)))
def test_a_killed_fit_goes_on_with_the_stored_numbers_of_its_stage(
    point, photos, killed_fits, tmp_path, set_times, check_bits, no_figures
):
    set_times()
    shutil.copytree(killed_fits[point], tmp_path, dirs_exist_ok=True)
    stored = read_fit("stages")
    assert main(list_words(photos)) == 0
    stages = read_fit("stages")
    assert stages[: len(stored)] == stored
    assert Path("runs/photos/report.html").exists()
    check_bits()
    if len(stored) == 1:  # the prior is planned from what is left after the planned seconds
        end = rules.END_SHARE * stored[0]["end"]
        left = 60 * MINUTES - stored[0]["seconds"] - end
        assert left - 60 < stages[1]["seconds"] <= left


def test_the_coordinates_are_shown_before_the_first_step_and_keep_their_meaning(
    photos, set_times, no_figures
):
    set_times()
    lines, first = [], {}

    def train(run, events, printed):
        for _ in events:
            if run.path != request.path:  # a prior changes no coordinates
                return 0
            if not first:
                first["page"] = Path("runs/photos/report.html").read_text("utf-8")
                first["table"] = pd.read_csv("runs/photos/latents.csv")
        return 0

    request = make_request(photos, 3 * MINUTES, None, SMALL, Options())  # enough epochs to help
    assert Fit(request, train, lines.append).run() == 0
    assert re.findall("<h2>(.*?)</h2>", first["page"])[:2] == ["Map", "Unusual images"]
    table, last = first["table"], pd.read_csv("runs/photos/latents.csv")
    fixed = [name for name in table if name in ("key", "split") or name.startswith("sd_")]
    pd.testing.assert_frame_equal(table[fixed], last[fixed], check_exact=True)
    assert (table["mse"] != last["mse"]).any()
    means = [name for name in table if name.startswith("mu_")]
    assert len(means) == 4
    assert (table[means].corrwith(last[means]) > 0.8).all()
    sentences = [line for line in lines if line.startswith("The coordinates of all images are in")]
    assert len(sentences) == 1
    assert lines.index(sentences[0]) == 1  # after the command


@pytest.fixture
def clock(monkeypatch):
    """A clock that trainings advance by their estimated seconds."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    for module in ("latentia.fitting.stages", "latentia.fitting.fit", "latentia.api.epochs"):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock


@pytest.mark.parametrize("minutes", [1, 3, 10])
def test_the_stages_fill_the_minutes_to_a_tenth(minutes, photos, set_times, clock, monkeypatch):
    """By the estimated seconds alone: the steps and the ends of epochs do nothing."""
    times = StepTimes(0.5, 1.0 + minutes, 0.1, 2.0 * minutes)
    monkeypatch.setattr(
        Loop, "train_step", lambda self, _: setattr(self.state, "step", self.state.step + 1)
    )
    monkeypatch.setattr(Validator, "finish_epoch", lambda *_: iter(()))
    set_times(times)

    def train(run, events, printed):
        for _ in events:
            pass
        if run.path == request.path:  # table and map before the first step
            clock.now += rules.BEGIN_SHARE * times.end
        clock.now += times.estimate_seconds(run.metadata["arguments"]["epochs"])
        return 0

    request = make_request(photos, minutes, None, SMALL, Options())
    monkeypatch.setattr(Fit, "_finish", lambda self: None)
    assert Fit(request, train, print).run() == 0
    total = clock.now + rules.END_SHARE * times.end
    assert 0.9 * 60 * minutes <= total <= 60 * minutes


def test_the_prior_has_no_epochs_in_which_it_would_learn_few_images_by_heart(
    photos, set_times, clock, monkeypatch
):
    set_times(StepTimes(0.5, 2.0, 0.1, 2.0))  # 10 minutes are 290 epochs

    def train(run, events, printed):
        next(events)
        return 0

    monkeypatch.setattr(Fit, "_finish", lambda self: None)
    request = make_request(photos, 10, None, SMALL, Options())
    assert Fit(request, train, print).run() == 0
    epochs = [stage["parameters"]["epochs"] for stage in read_fit("stages")]
    assert epochs[0] > epochs[1] == rules.MAX_PRIOR_EPOCHS


def test_what_is_said_of_the_images_is_said_once(photos, set_times, clock, tmp_path, capsys):
    shutil.copytree(photos, tmp_path / "mixed")
    file = next((tmp_path / "mixed").rglob("*.png"))
    Image.open(file).resize((20, 12)).save(file)
    set_times()

    def train(run, events, printed):
        next(events)
        show_events(run, iter([TrainingFinished(1, 1, "stopped")]), sys.stdout, printed)
        return 0

    request = make_request(tmp_path / "mixed", 3, None, SMALL, Options())
    assert Fit(request, train, print).run() == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("20x12" in line or "12x20" in line for line in lines)
    assert [line for line in {*lines} if lines.count(line) > 1] == []


def test_more_minutes_give_no_fewer_epochs_and_the_same_model(photos, set_times, clock):
    set_times()
    plans = []
    for minutes in (4, 5, 8, 20, 60):
        request = make_request(photos, minutes, f"runs/{minutes}", SMALL, Options())
        assert Fit(request, lambda *_: 7, print).run() == 7
        (stage,) = read_fit("stages", f"runs/{minutes}")
        plans.append(stage["parameters"])
    epochs = [plan.pop("epochs") for plan in plans]
    assert epochs == sorted(epochs)
    assert all(plan == plans[0] for plan in plans)


def test_a_linked_folder_gives_the_run_its_own_name(photos, tmp_path):
    """A user who links a disk's folder as photos/ types runs/photos, not the name on the disk."""
    tmp_path.joinpath("linked").symlink_to(photos, target_is_directory=True)
    for text in ("linked", "linked/", "./linked"):
        request = make_request(text, MINUTES, None, SMALL, Options())
        assert request.path == Path("runs/linked")
        assert request.images.to_metadata()["source"] == str(tmp_path / "linked")


def test_too_few_minutes_name_the_smallest_number(photos, set_times, capsys, tmp_path):
    """An epoch and its report take 110 s; the rest is what a prior of few images needs.

    A quarter more: a measurement that is repeated must not say that its own number is too small.
    """
    set_times()
    message = last_line_of_error(capsys, *list_words(photos, minutes=2))
    least = re.search(r"give at least --minutes ([\d.]+)", message).group(1)
    needed = (110 + rules.count_prior_seconds(48)) / 60
    assert 1.25 * needed <= float(least) <= 1.25 * needed + 0.9  # and the test's own seconds
    assert not list(tmp_path.glob("runs/*"))


def test_a_used_folder_is_refused_before_the_images_are_read(photos, monkeypatch, capsys):
    monkeypatch.setattr(Images, "source_sizes", property(lambda _: pytest.fail("they are read")))
    for path in ("runs/photos/run.json", "runs/photos-prior/notes.txt"):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text("{}", encoding="utf-8")
        assert "exists; " in error(capsys, *list_words(photos))
        shutil.rmtree("runs")
    request = {"data": str(photos), "minutes": "20.0", "features": "none"}
    content = {"request": request, "stages": [], "commands": [], "is_complete": False}
    Path("runs/photos").mkdir(parents=True)
    write_json(Path("runs/photos/fit.json"), content)
    assert "runs/photos holds another fit (" in error(capsys, *list_words(photos))


def last_line_of_error(capsys, *words):
    """Return the sentence of an error below what was understood of the images."""
    capsys.readouterr()
    assert main([*words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_a_folder_of_something_else_is_left_as_it_is(photos, set_times, capsys, tmp_path):
    set_times()
    shutil.copytree(photos, tmp_path / "others")
    words = list_words(photos, "--run", "runs/photos")
    for path in ("runs/photos", "runs/photos-prior"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "notes.txt").write_text("mine")
        message = last_line_of_error(capsys, *words)
        assert message == f"{path} exists; give another --run."
        assert [file.name for file in (tmp_path / "runs").rglob("*.*")] == ["notes.txt"]
        shutil.rmtree(tmp_path / "runs")
    request = make_request(photos, MINUTES, None, SMALL, Options())
    assert Fit(request, lambda *_: 7, print).run() == 7
    before = {path: path.read_bytes() for path in tmp_path.glob("runs/**/*.*")}
    others = ["fit", "others", "--minutes", str(MINUTES), "--run", "runs/photos"]
    for changed in (others, ["fit", str(photos), "--minutes", "20"]):
        changed += ["--latent", "4", "--features", "none", "--width", "4"]
        message = last_line_of_error(capsys, *changed)
        assert message.startswith("runs/photos holds another fit (")
        assert message.endswith(
            "repeat its command to continue it, or give another --run for more minutes or other "
            "images."
        )
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "latentia fit --help shows its options."),
        (["--minutes", "3"], "latentia fit --help shows its options."),
        (["nowhere"], "nowhere does not exist;"),
        (["photos", "--minutes", "0"], "--minutes is 0.0; it must be a number above 0"),
        (["photos", "--epochs", "3"], "both are given; leave one of them out."),
        (["photos", "--free-bits", "0.1"], "latentia fit takes no --free-bits; leave it out"),
        (["photos", "--track", "3"], "latentia fit takes no --track; leave it out"),
        (["photos", "--latnet", "3"], "did you mean --latent?"),
        (["photos", "more"], "photos alone, without --data, or one folder that holds all images."),
        (["photos", "--data", "more"], "latentia fit takes one source of images; give "),
    ],
)
def test_mistakes_are_one_sentence(words, message, photos, capsys):
    words = [str(photos) if word == "photos" else word for word in words]
    assert message in error(capsys, "fit", *words)


def test_python_refuses_unknown_features_with_all_that_fit_takes():
    text = "--features is 'x'; it must be one of auto, efficientnet, none."
    fit = inspect.unwrap(latentia.fit)  # without the type checks of the tests
    with pytest.raises(Error, match=re.escape(text)):
        fit("digits:80", features="x")  # pyright: ignore[reportArgumentType]


def test_without_the_extra_it_goes_on_and_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr("latentia.fitting.fit.is_installed", lambda: False)
    request = make_request("digits:80", 1, None, {"latent": 3}, Options())
    assert request.parameters["features"] == "none"
    printed = capsys.readouterr().err
    assert (
        "features: none, since those of efficientnet are not installed "
        "(pip install 'latentia[photos]' adds them).\n"
    ) in printed
    assert "In 1 minute, in runs/digits_80: photo_vae with 3 coordinates, " in printed


def test_too_little_time_for_features_is_said_before_they_are_computed(photos, monkeypatch, capsys):
    """60 images, and 50 mirror images of the training, of a second each."""
    monkeypatch.setattr("latentia.fitting.fit.time_features", lambda *_: 1.0)
    words = ["fit", str(photos), "--features", "efficientnet", "--augment"]
    assert error(capsys, *words, "flip", "--minutes", "2.5") == (
        "Features of 60 images take about 1.8 minutes, which is too much for latentia fit "
        "--minutes 2.5; give at least --minutes 3.1, or --features none."
    )
    assert "give at least --minutes 1.7," in error(capsys, *words, "none", "--minutes", "1.6")
    assert not Path("runs").exists()

    def request(minutes):
        options = {"features": "efficientnet", "augment": "flip"}
        return make_request(str(photos), minutes, None, options, Options()).minutes

    assert request(3.1) == 3.1
    monkeypatch.setattr("latentia.fitting.fit.is_stored", lambda pixels: True)
    assert request(0.1) == 0.1


def test_the_reason_of_a_prior_by_groups_is_said(images, capsys):
    data = LabelledData(images[:60], {"label": [*map(str, range(60))]})
    for each, cause in ((images[:60], "there is no label"), (data, "no label fits")):
        make_request(each, 9, None, SMALL, Options())
        text = f"prior: conditioned on groups of similar latents, since {cause}.\n"
        assert text in capsys.readouterr().err


def test_a_fit_that_is_continued_keeps_what_the_rules_chose(photos, monkeypatch):
    request = make_request(photos, 9, None, {"latent": 3}, Options())
    stored = ("efficientnet", "flip,shift", "samples")
    parameters = dict(zip(("features", "augment", "sharpen"), stored, strict=True))
    Path("runs/photos").mkdir(parents=True)
    content = {**request.content, "request": request.content["request"] | parameters}
    write_json(Path("runs/photos/fit.json"), content)
    monkeypatch.setattr("latentia.fitting.fit.time_features", lambda *_: 100.0)
    again = make_request(photos, 9, None, {"latent": 3}, Options())
    assert again.parameters == {"latent": 3, **parameters}
    assert request.parameters["features"] == "none"
    assert again.content == content  # it is the same fit


def test_digits_are_fitted_without_features_and_the_reason_is_said(capsys):
    def request_features(**parameters):
        parameters = {"latent": 3, **parameters}
        return make_request("digits:80", 1, None, parameters, Options()).parameters["features"]

    assert request_features() == "none"
    assert ", below 3; --features efficientnet takes them.\n" in capsys.readouterr().err
    assert request_features(features="efficientnet") == "efficientnet"
    assert "effective dimensions" not in capsys.readouterr().err


def test_features_that_tell_the_labels_apart_are_taken_but_not_of_black_and_white_images(
    photos, tmp_path, monkeypatch, capsys
):
    """40 of 60 images have a label in the table, and 33 or so of 50 training images."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in photos.rglob("*.png"):
        shutil.copy(path, flat)
    rows = [f"{number:02}.png,{('x', 'y')[number % 2]}\n" for number in range(40)]
    (tmp_path / "species.csv").write_text("".join(["file,species\n", *rows]))
    compared = []

    def compare(pixels, features, labels, name):
        compared.append((len(pixels), features.shape[1], set(labels.tolist()), name))
        return rules.ClassComparison(True, "is right")

    def request_features():
        options = Options(labels=str(tmp_path / "species.csv"))
        request = make_request(str(flat), 9, None, {"latent": 3}, options)
        return request.parameters["features"]

    monkeypatch.setattr(rules, "compare_classes", compare)
    assert request_features() == "none"  # of so few images
    monkeypatch.setattr(rules, "FEATURE_IMAGES", 20)
    assert request_features() == "efficientnet"
    ((count, dims, labels, name),) = compared
    assert 20 <= count < 50
    assert (dims, labels, name) == (1280, {0, 1}, "efficientnet")
    reason = "since a linear classifier of species is right; --features none leaves them out"
    assert f"features: efficientnet, {reason}.\n" in capsys.readouterr().err
    worse = rules.ClassComparison(False, "is wrong")
    monkeypatch.setattr(rules, "compare_classes", lambda *_: worse)
    assert request_features() == "none"
    reason = ", and a linear classifier of species is wrong; --features efficientnet takes them.\n"
    assert reason in capsys.readouterr().err
    monkeypatch.setattr(rules, "compare_classes", compare)
    monkeypatch.setattr("latentia.fitting.fit.BINARY_SHARE", 0.0)
    assert request_features() == "none"
    assert len(compared) == 1


def test_labels_of_a_table_are_the_condition(photos, set_times, tmp_path, capsys, no_figures):
    set_times()
    keys = sorted(path.name for path in photos.rglob("*.png"))
    shutil.copytree(photos, "photos")
    rows = "".join(f"{key},{('warm', 'cold')[k % 2]}\n" for k, key in enumerate(keys))
    for path in [*Path("photos").rglob("*.png")]:  # no class folders
        path.rename(Path("photos") / path.name)
    (tmp_path / "table.csv").write_text(f"file,weather\n{rows}")
    assert main(list_words("photos", "--labels", "table.csv")) == 0
    out, err = capsys.readouterr()
    assert "prior: conditioned on weather (cold, warm)." in err
    prior = shlex.split(out.splitlines()[1 + out.splitlines().index("runs/photos/report.html")])
    assert prior[prior.index("--cond") + 1] == "weather"
    assert latentia.load("runs/photos-prior").sample(2, cond="warm").shape == (2, 3, 12, 10)


def test_images_in_memory_are_fitted_from_python(photos, set_times, images, no_figures):
    set_times()
    run = latentia.fit(images, minutes=MINUTES, progress=False, **SMALL)
    assert run.path.as_posix() == "runs/images"
    assert len(run.encode()) == len(images)
    commands = read_fit("commands", "runs/images")
    assert commands[0].startswith('latentia.train("photo_vae", data=data, ')
    labels = [("round", "square")[k % 2] for k in range(len(images))]
    other = latentia.fit(
        images, run="other", labels=labels, minutes=MINUTES, progress=False, **SMALL
    )
    assert other.encode()["label"].nunique() == 2
    assert "labels=labels" in read_fit("commands", "other")[0]
    again = latentia.fit(images, minutes=MINUTES, progress=False, **SMALL)
    assert again.path == run.path


def test_coordinates_without_a_label_have_no_learned_prior(photos, set_times, capsys, check_bits):
    set_times()
    words = list_words(photos, "--cond", "label")
    assert main(words) == 0
    out, err = capsys.readouterr()
    commands = [line for line in out.splitlines() if line.startswith("latentia ")]
    assert [line.split()[1] for line in commands] == ["train", "encode", "report"]
    assert " --cond label " in commands[0]
    assert "cond: the coordinates leave out label; new images are drawn from N(0, I), " in err
    assert " coordinates, table of all images, report." in err
    assert not Path("runs/photos-prior").exists()
    assert latentia.load("runs/photos").model.column == "label"
    advice = latentia.load("runs/photos").diagnose().advice
    assert "makes the run, table and report" in advice
    check_bits()
    assert main(words) == 0
    assert last_line_of_error(capsys, *list_words(photos)).startswith("runs/photos holds another ")
    assert "--cond names plate; " in last_line_of_error(
        capsys, *list_words(photos, "--cond", "plate", "--run", "runs/plates")
    )
    Path("runs/photos/fit.json").write_text("{", encoding="utf-8")
    report = latentia.load("runs/photos").diagnose()
    assert report.findings
    assert report.advice == ""
    text = "it holds no JSON object. Copy it anew, or give latentia fit another --run."
    assert text in last_line_of_error(capsys, *words)
    assert make_request("digits:80", 9, None, {"latent": 3, "cond": None}, Options()).has_prior


def test_a_stopped_fit_names_one_command_that_goes_on(photos, set_times, monkeypatch, capsys):
    set_times()

    def stop(run, events, *_):
        for event in events:
            if getattr(event, "step", 0) >= 1:
                events.close()
                return TrainingFinished(1, 9, EndReason.STOPPED)
        return None

    words = ["fit", str(photos), "--minutes", str(MINUTES), *TOY]
    with monkeypatch.context() as patch:
        patch.setattr("latentia.cli.terminal.show_events", stop)
        assert main(words) == 130
    out, command = capsys.readouterr().out, shlex.join(["latentia", *words])
    assert out.endswith(f"Stopped; run the same command to continue: {command}\n")
    assert "latentia resume" not in out
    found = {each.kind: each for each in latentia.load("runs/photos").diagnose().findings}
    (command,) = found["interrupted"].suggested_commands
    assert command.startswith(f"latentia fit {photos} --minutes {MINUTES} ")
    assert main(shlex.split(command)[1:]) == 0
