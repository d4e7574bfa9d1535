"""What is installed is said whatever is missing, and what is chosen with its reason."""

import json
import subprocess
import sys
from importlib import metadata

import pytest
import torch

from latentia.cli.main import main
from latentia.diagnostics import environment
from latentia.diagnostics.environment import Library
from latentia.training.precision import LayerTiming

WITHOUT = """
import importlib.abc, runpy, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError("No module named " + name)
sys.meta_path.insert(0, Block())
sys.argv = ["latentia", "env"]
runpy.run_module({module!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("name", "module"),
    [("torch", "latentia"), ("numpy", "latentia"), ("tyro", "latentia.diagnostics.environment")],
)
def test_no_traceback_whatever_is_missing(name, module):
    code = WITHOUT.format(name=name, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.startswith("latentia ")
    assert len(done.stdout.splitlines()) <= 24  # the report fits a terminal of 24 lines
    assert ("unknown: No module named " in done.stdout) == (name != "tyro")


def test_libraries_are_those_that_the_package_asks_for_by_extra_and_old_ones_do_not_fit():
    asked = ["torch>=2.6", "numpy>=99", "no-such.thing[all]>=1", 'scipy>=1.2; extra == "web"']
    found = environment.check_libraries(asked)
    assert [(x.name, x.is_satisfied) for x in found["latentia"]] == [
        ("torch", True), ("numpy", False), ("no-such.thing", False),
    ]  # fmt: skip
    assert [x.name for x in found["web"]] == ["scipy"]
    assert found["latentia"][0].version == torch.__version__
    missing = Library("no-such.thing", ">=1", None, False)
    assert str(missing) == "no-such.thing>=1 is missing"
    assert str(found["latentia"][1]).endswith(" is not >=99")
    version = metadata.version("numpy")
    assert environment.check_library("numpy", f"=={version}").is_satisfied
    assert not environment.check_library("numpy", "==1.0").is_satisfied
    assert environment.parse_version("2.13.0+cpu") > environment.parse_version("2.6")


def test_what_is_missing_is_named_with_what_installs_it_and_the_exit_code(monkeypatch, capsys):
    asked = ["torch>=2.6", 'no-such-thing>=1; extra == "export"']
    monkeypatch.setattr(metadata, "requires", lambda _: asked)
    assert main(["env"]) == 0
    said = capsys.readouterr().out
    assert 'no-such-thing>=1 is missing: pip install "latentia[export]"' in said
    monkeypatch.setattr(metadata, "requires", lambda _: ["no-such-thing>=1"])
    assert main(["env", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["libraries"]["latentia"][0]["version"] is None
    assert found["here"].keys() == {"device", "precision", "threads", "memory", "cache", "compile"}
    is_cpu = found["here"]["device"].startswith("cpu")
    assert {*found["milliseconds"]} == ({"product", "convolution"} if is_cpu else set())


def test_both_timings_stand_behind_the_precision(monkeypatch):
    timings = {"product": LayerTiming(1.0, 2.0), "convolution": LayerTiming(3.0, 2.0)}
    monkeypatch.setattr("latentia.training.precision.get_timings", lambda: timings)
    monkeypatch.setattr("latentia.training.device.find_device", lambda: torch.device("cpu"))
    assert environment.describe_precision() == (
        "fp32/bf16: product 1.00/2.00 ms = 0.50, fp32; convolution 3.00/2.00 ms = 1.50, bf16"
    )
    assert environment.list_timings()["convolution"] == {
        "fp32": 3.0, "bf16": 2.0, "speedup": 1.5, "auto": "bf16",
    }  # fmt: skip


def test_each_choice_is_the_engines_own_with_its_reason(monkeypatch, tmp_path):
    engine = "latentia.training.device"
    monkeypatch.setattr(f"{engine}.find_device", lambda: torch.device("cuda"))
    for has, said in ((True, "bf16: this device multiplies"), (False, "fp32: this device has no")):
        monkeypatch.setattr("latentia.training.precision.has_bf16", lambda _, has=has: has)
        assert environment.describe_precision().startswith(said)
    assert environment.list_timings() == {}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    assert environment.describe_device() == "cuda: a GPU"
    monkeypatch.undo()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "finds no GPU" in environment.describe_device() or torch.cuda.is_available()
    monkeypatch.setenv("LATENTIA_MALLOPT", "0")
    assert environment.describe_memory() == "the system's default: LATENTIA_MALLOPT=0"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert environment.describe_threads().startswith(
        f"{torch.get_num_threads()}: OMP_NUM_THREADS=1, of "
    )
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "not" / "yet"))
    assert environment.describe_cache().startswith(f"{tmp_path / 'not' / 'yet'}, ")


def test_a_doctor_without_a_patient_asks_for_one(capsys):
    assert main(["doctor"]) == 2
    assert "No run was named; give one: latentia doctor RUN, or" in capsys.readouterr().err
