"""`latentia evaluate`: what every figure says of itself, and what it leaves as it was."""

import json

import numpy as np
import pytest
from toys import TRAIN

from latentia.cli.main import main
from mistakes import error

ALL = "elbo,nll,fd,kd,prdc,image,memorisation"


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """Enough images for every metric: 400, 40 of them held out for the test."""
    folder = tmp_path_factory.mktemp("larger")
    pixels = np.random.default_rng(0).integers(0, 256, (400, 28, 28), dtype=np.uint8)
    np.save(folder / "toy.npy", pixels)
    words = ["train", "mnist_mlp_vae", "--data", str(folder / "toy.npy")]
    assert main([*words, "--run", str(folder / "run"), *TRAIN]) == 0
    words = ["train", "mnist_gan", "--data", str(folder / "toy.npy"), "--latent", "3"]
    assert main([*words, "--epochs", "1", "--batch", "64", "--run", str(folder / "gan")]) == 0
    return folder


def contents(run):
    files = (path for path in sorted(run.rglob("*")) if path.is_file())
    return {path.relative_to(run): path.read_bytes() for path in files}


def evaluated(capsys, *words):
    capsys.readouterr()
    assert main(["evaluate", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_every_figure_says_its_error_n_split_and_features(larger, capsys):
    run = larger / "run"
    words = [run, "--metrics", ALL, "--k", "20", "--json"]
    result = json.loads(evaluated(capsys, *words))
    assert {"nelbo_nats", "rate_by_dimension", "n"} <= result.keys()
    metrics = result["metrics"]
    assert list(metrics) == ALL.split(",")
    for metric, figures in metrics.items():
        assert figures, metric
        for figure in figures:
            at = figure["name"]
            assert figure["split"] == "test", at
            assert figure["value"] is not None, at
            assert (figure["error"] is None) == at.endswith("_p"), at  # a p-value has no error
            compares = metric in ("fd", "kd", "prdc", "memorisation")
            assert figure["n"] == ([40, 40] if compares else 40), at
            has_features = compares and at != "sharpness_samples"
            assert figure["features"] == ("pixels" if has_features else None), at
    by_name = {figure["name"]: figure for figures in metrics.values() for figure in figures}
    assert by_name["nelbo_nats"]["value"] == result["nelbo_nats"]
    assert by_name["nll_nats"]["value"] < by_name["nelbo_nats"]["value"]
    assert by_name["nll_nats"]["note"] == "K = 20"
    assert {"fd_samples", "fd_reconstructions", "kd_samples", "coverage"} <= by_name.keys()
    assert {"psnr_db", "ssim", "sharpness", "near_copies", "nearer_p"} <= by_name.keys()


def test_it_changes_nothing_but_evaluation_json_and_agrees_with_itself(larger, capsys):
    run = larger / "run"
    before = contents(run)
    words = [run, "--metrics", ALL, "--k", "20", "-n", "30", "--json"]
    first = evaluated(capsys, *words)
    after = contents(run)
    assert evaluated(capsys, *words) == first
    assert contents(run) == after
    saved = {str(path) for path in after.keys() ^ before.keys()}
    changed = {str(path) for path in before if before[path] != after[path]}
    assert saved | changed == {"evaluation.json"}
    assert json.loads((run / "evaluation.json").read_text()).items() >= json.loads(first).items()


def test_metrics_of_earlier_calls_are_kept_and_other_data_leave_no_trace(larger, capsys):
    run = larger / "run"
    (run / "evaluation.json").write_text("spoilt")
    assert main(["evaluate", str(run), "--metrics", "image"]) == 2  # what was measured is printed
    out, err = capsys.readouterr()
    assert "psnr_db" in out
    assert "evaluation.json is damaged" in err
    (run / "evaluation.json").unlink()
    evaluated(capsys, run, "--metrics", "image")
    evaluated(capsys, run, "--metrics", "nll", "--k", "5")
    evaluated(capsys, run)
    saved = json.loads((run / "evaluation.json").read_text())
    assert set(saved["metrics"]) == {"image", "nll", "elbo", "pca"}
    evaluated(capsys, run, "--metrics", "image")
    assert json.loads((run / "evaluation.json").read_text()) == saved
    np.save(larger / "other.npy", np.zeros((12, 28, 28), np.uint8))
    output = evaluated(capsys, run, "--data", larger / "other.npy")
    assert "all split" in output
    assert json.loads((run / "evaluation.json").read_text()) == saved
    assert main(["report", str(run)]) == 0
    saved = json.loads((run / "evaluation.json").read_text())
    assert saved["split"] == "validation"
    assert "nll" in saved["metrics"]


def test_the_table_shows_what_the_json_holds(larger, capsys):
    output = evaluated(capsys, larger / "run", "--metrics", "elbo,prdc")
    for word in ("nelbo_nats", "precision", "pixels", "40 and 40", "k = 5", "±"):
        assert word in output


def test_a_gan_has_distances_and_no_likelihood(larger, capsys):
    run = larger / "gan"
    result = json.loads(evaluated(capsys, run, "--metrics", "fd,prdc", "--json"))["metrics"]
    assert [figure["name"] for figure in result["fd"]] == ["fd_samples", "fd_real"]
    usual = json.loads(evaluated(capsys, run, "--json"))["metrics"]
    assert [*usual] == ["fd"]
    for metric in ("elbo", "nll", "image"):
        assert "has no encoder" in error(capsys, "evaluate", run, "--metrics", metric)


def test_what_a_binary_run_is_judged_on_is_said(larger, capsys):
    words = ["train", "mnist_iwae", "--data", str(larger / "toy.npy"), "--k", "2", "--latent", "3"]
    run = larger / "iwae"
    assert main([*words, "--hidden", "8", "--epochs", "1", "--run", str(run)]) == 0
    output = evaluated(capsys, run, "--metrics", "elbo,nll", "--k", "3", "--json")
    for figures in json.loads(output)["metrics"].values():
        assert all("binarised once" in figure["note"] for figure in figures)
    assert "binarised" in json.loads((run / "run.json").read_text())


def test_mistakes(larger, capsys):
    run = larger / "run"
    text = error(capsys, "evaluate", run, "--metrics", "elbo,fdd")
    assert "There is no metric fdd; did you mean fd?" in text
    assert (
        "The metrics are elbo, pca, probe, nuisance, nll, fd, kd, prdc, image, memorisation, "
        "disentanglement;" in text
    )
    for metric in ("fd", "elbo"):  # which needs none
        words = ["evaluate", run, "--metrics", metric, "--features", "pixel"]
        assert "There are no features pixel" in error(capsys, *words)
    assert "--k is 0; it must be at least 1." in error(capsys, "evaluate", run, "--k", "0")
    assert "-n is 1; it must be at least 2." in error(capsys, "evaluate", run, "-n", "1")
    text = error(capsys, "evaluate", run, "--metrics", "memorisation", "--split", "train")
    assert "images that were held out: leave --data out and give --split test" in text
    text = error(capsys, "evaluate", run, "--metrics", "prdc", "-n", "5")
    assert "prdc needs more than 5 images; test has 5." in text
