"""Makes the golden data anew; what is to be compared comes from the reference commit alone.

    python tests/golden/make.py               this machine's entry of machines.json
    python tests/golden/make.py --limits      and one for each lesser set of instructions
    python tests/golden/make.py --shapes      tensors.json and options.json, of the code at hand
    python tests/golden/make.py --runs        run-format-1/, of the code at hand (commit 7e23eed)

The last two are of the code that Python imports: give them only where a change is meant, or in a
checkout of the reference. Entries of other machines stay as they are.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import golden

LIMITS = (
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
)


def make_entry(limits):
    key = subprocess.run(
        [sys.executable, "-c", "import golden; print(golden.machine())"],
        env={**os.environ, **limits}, cwd=golden.HERE, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        entry = golden.reference(Path(folder), limits)
    if entry is None:
        sys.exit(f"git does not have {golden.REFERENCE}: fetch the whole history.")
    file = golden.HERE / "machines.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    golden.write(file, {**known, key: entry})
    print(key)


def make_shapes():
    with tempfile.TemporaryDirectory() as name:
        found = {case: golden.tensors(golden.train(Path(name), case)) for case in golden.CASES}
    golden.write(golden.HERE / "tensors.json", found)
    golden.write(golden.HERE / "options.json", golden.all_options())


def make_runs():
    """A run that was stopped in the middle, and three that are done; no path of this machine."""
    shutil.rmtree(golden.RUNS, ignore_errors=True)
    golden.RUNS.mkdir()
    vae = "train mnist_mlp_vae --data digits:60 --latent 2 --epochs 2"
    common = "--batch 16 --precision fp32 --threads 1 --device cpu --run"
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        with golden.stopped_after(saves=2):
            golden.main(f"{vae} --hidden 1 {common} vae".split())
        for words in (
            f"{vae} --hidden 1 --multirate 0.1:10 {common} multirate",
            f"{vae} --hidden 2 --supervise label {common} supervise",
            f"{vae} --hidden 2 {common} autoencoder",
            f"train latent_prior --autoencoder autoencoder --width 8 --depth 1 --epochs 2 {common} "
            "prior",
        ):
            assert golden.main(words.split()) == 0
        for run in golden.SAMPLED:
            _store(Path(run))
        for run in golden.SAMPLED:
            golden.sampled(run, golden.RUNS)
        for run in golden.MEASURED:
            found = json.dumps(golden.measured(run), indent=1)
            (golden.RUNS / f"{run}.json").write_text(found + "\n")


def _store(run):
    """What opens, resumes or measures a run, without what is drawn of it."""
    kept = ["run.json", "weights.safetensors", "log.jsonl", "evaluation.json", "autoencoder"]
    if run.name == "vae":
        kept.append("state.safetensors")
    for file in run.iterdir():
        if file.name not in kept:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    for file in run.rglob("run.json"):
        about = json.loads(file.read_text())
        about["machine"]["platform"] = "Linux"
        if "autoencoder" in about["arguments"]:
            about["arguments"]["autoencoder"] = "runs/autoencoder"
        file.write_text(json.dumps(about, indent=1) + "\n")
    shutil.copytree(run, golden.RUNS / run.name)


if __name__ == "__main__":
    if "--runs" in sys.argv:
        make_runs()
    if "--shapes" in sys.argv:
        make_shapes()
    if not {"--runs", "--shapes"} & set(sys.argv):
        for limits in ({}, *LIMITS) if "--limits" in sys.argv else ({},):
            make_entry(limits)
