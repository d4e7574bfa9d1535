"""The doctor: a run made ill on purpose is named ill, and the command that it gives mends it."""

import json
import shlex

import numpy as np
import pytest
from sklearn.datasets import load_digits

from latentia.cli.main import main
from latentia.diagnostics.diagnose import diagnose_run
from latentia.runs.open import open_run

TOY = ["--data", "digits", "--batch", "64", "--hidden", "64", "--threads", "1"]


def trained(tmp_path, *words):
    run = tmp_path / "run"
    assert main(["train", "mnist_mlp_vae", *TOY, *words, "--run", str(run)]) == 0
    return run


def kinds(run):
    return [finding.kind for finding in diagnose_run(open_run(run)).findings]


@pytest.mark.report
def test_a_collapse_is_named_first_and_its_command_clears_it(tmp_path, capsys, monkeypatch):
    run = trained(tmp_path, "--epochs", "15", "--beta", "49")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert "posterior collapse" in (run / "report.html").read_text()
    capsys.readouterr()
    assert main(["doctor", str(run), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["findings"][0]
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    assert (first["kind"], first["severity"]) == ("posterior collapse", "ERROR")
    assert first["values"]["active"] == 0
    (command,) = first["suggested_commands"]
    words = shlex.split(command)
    assert words[words.index("--beta") + 1] == "1.0" or words[words.index("--beta") + 1] == "1"
    monkeypatch.setattr("latentia.report.page.write_report", lambda *_: None)
    assert main(words[1:]) == 0
    assert "posterior collapse" not in kinds(words[-1])


def test_few_images_are_said_at_once_and_all_of_them_mend_it(tmp_path, capsys):
    run = trained(tmp_path, "--data", "digits:2", "--epochs", "2")
    out = capsys.readouterr().out
    assert out.index("too few images") < out.index("report.html")
    finding = diagnose_run(open_run(run)).findings[0]
    assert (finding.kind, finding.severity) == ("too few images", "ERROR")
    assert main(shlex.split(finding.suggested_commands[0])[1:]) == 0
    assert "too few images" not in kinds(shlex.split(finding.suggested_commands[0])[-1])


def test_unwanted_images_are_named_and_no_command_removes_them(tmp_path):
    """Digits, of which some are given twice, blank, inverted, in two splits, or zeros."""
    digits = (load_digits().images * 255 / 16).astype(np.uint8)[:900]
    labels = load_digits().target[:900].astype(str)
    first = [*np.flatnonzero(labels == "0"), *np.flatnonzero(labels != "0")]
    digits, labels = digits[first], labels[first]  # 90 zeros at first
    arrays = {"x_train": digits[:160].copy(), "y_train": labels[:160].copy()}
    arrays |= {"x_val": digits[160:530], "y_val": labels[160:530]}
    arrays |= {"x_test": digits[530:].copy(), "y_test": labels[530:]}
    arrays["x_train"][90:95] = arrays["x_train"][95:100]
    arrays["x_train"][100:104] = 255
    arrays["x_train"][104:110] = 255 - arrays["x_train"][104:110]
    arrays["x_test"][:6] = arrays["x_train"][110:116]
    np.savez(tmp_path / "a.npz", **arrays)
    run = trained(tmp_path, "--data", str(tmp_path / "a.npz"), "--epochs", "1")
    planted = {"images in two splits", "images given twice", "constant images"}
    planted |= {"inverted images", "one class dominates"}
    found = {each.kind: each for each in diagnose_run(open_run(run)).findings}
    assert planted <= found.keys()
    assert "of class 0 (label; 10 classes)" in found["one class dominates"].text
    assert found["one class dominates"].severity == "NOTE"
    (balanced,) = found["one class dominates"].suggested_commands
    assert "--balance label" in balanced
    for kind in planted - {"one class dominates"}:
        (command,) = found[kind].suggested_commands
        assert command.startswith(f"latentia doctor {run} --table ")
        assert "Look at them in the report" in found[kind].consequence
        assert "train/" in found[kind].text
