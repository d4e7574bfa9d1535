"""What the golden tests compare: toy trainings, digests of their files, and a key of the machine.

Everything goes through the command line; `main`, `recipe_names` and `command_names` alone know the
package. `python golden.py OUT.json` trains every case with the latentia that Python finds.
"""

import functools
import hashlib
import inspect
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REFERENCE = "7e23eed"  # the commit whose results count
RUNS = HERE / "run-format-1"

# ---------------------------------------------------------------- what is known of the package


def main(words):
    """The command line function, at its place before or after the move."""
    import latentia.cli

    if hasattr(latentia.cli, "__path__"):
        from latentia.cli.main import main as command  # pyright: ignore
    else:
        from latentia.cli import main as command
    return command(words)


def command_names():
    return re.findall(r"^  (\w+)  ", printed("--help"), re.MULTILINE)


def recipe_names():
    return re.findall(r"^(\w+)  \(", printed("recipes"), re.MULTILINE)


def printed(*words):
    with redirect_stdout(StringIO()) as said:
        assert main(list(words)) == 0
    return said.getvalue()


# ------------------------------------------------------------------------------- trainings

COMMON = "--batch 8 --epochs 3 --precision fp32 --threads 1 --device cpu"
MLP = "mnist_mlp_vae --data 28x28.npy --hidden 8 --latent 3"
VAEGAN = "vaegan --data 24x20.npy --size 24x20 --latent 3"
CASES = {
    "mlp_vae": MLP,
    "mlp_vae_multirate": f"{MLP} --multirate 0.1:10",
    "mlp_vae_supervise": "mnist_mlp_vae --data digits:60 --hidden 8 --latent 3 --supervise label",
    "mlp_vae_divergence": f"{MLP} --divergence tc",
    "mlp_vae_iwae": f"{MLP} --iwae 3",
    "mlp_vae_kl_schedule": f"{MLP} --kl-schedule cyclical",
    "mlp_vae_capacity": f"{MLP} --capacity 5",
    "mlp_vae_free_bits": f"{MLP} --free-bits 0.01",
    "mnist_iwae": "mnist_iwae --data 28x28.npy --hidden 8 --latent 3",
    "mnist_fast": "mnist_fast --data 28x28.npy",
    "digits_vae": "digits_vae --data digits:60 --latent 3",
    "mnist_conv_vae": "mnist_conv_vae --data 28x28.npy --latent 3",
    "conv_vae": "conv_vae --data 12x10.npy --latent 3 --likelihood bernoulli",
    "conv_vae_gaussian": "conv_vae --data 12x10.npy --latent 3 --likelihood gaussian",
    "mnist_gan": "mnist_gan --data 28x28.npy --latent 3",
    "mnist_dcgan": "mnist_dcgan --data 28x28.npy --latent 3",
    "vaegan": f"{VAEGAN} --adversary-from 0.1",
    "vaegan_published": f"{VAEGAN} --adversarial-weight published",
    "image_autoencoder": "image_autoencoder --data 24x16.npy --size 24x16 --latent 2 --width 4 "
    "--adversary-from 0.1",
    "latent_prior": "latent_prior --autoencoder mlp_vae --width 16 --depth 1",
    "latent_prior_spatial": "latent_prior --autoencoder image_autoencoder --width 16 --depth 1",
}


def train(folder, name):
    """Train a case for an epoch and a step in folder/name; a case before it that it needs, too.

    SIGTERM at the save that ends the first epoch stops it as a user would: the report, which is
    most of a toy's time, is not drawn.
    """
    run = folder / name
    words = CASES[name].split()
    for number, word in enumerate(words):
        if word.endswith(".npy"):
            h, w = map(int, word[:-4].split("x"))
            np.save(folder / word, np.random.default_rng(0).integers(0, 256, (60, h, w), np.uint8))
            words[number] = str(folder / word)
        if word == "--autoencoder":
            if not (folder / words[number + 1]).exists():
                train(folder, words[number + 1])
            words[number + 1] = str(folder / words[number + 1])
    with stopped_after(saves=2):
        assert main(["train", *words, *COMMON.split(), "--run", str(run)]) == 130
    return run


@contextmanager
def stopped_after(saves):
    """A training within is told to stop once it has saved so often; it does after its next step."""
    replace, left = os.replace, [saves]

    def counted(source, target, **how):
        replace(source, target, **how)
        if Path(target).name == "state.safetensors":
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(signal.SIGTERM)

    os.replace = counted
    try:
        yield
    finally:
        os.replace = replace


# ---------------------------------------------------------------------------------- digests


def header(path):
    """name -> (type, shape, bytes' ends), the metadata, and the tensors' bytes."""
    content = path.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:size])
    about = json.loads(entries.pop("__metadata__", {}).get("about", "{}"))
    return entries, about, content[size:]


def tensors(run):
    """The names of a run's tensors, each with its type and shape, and what its state says."""
    found = {}
    for kind in ("weights", "state"):
        entries, about, _ = header(run / f"{kind}.safetensors")
        shapes = {k: "x".join(map(str, e["shape"])) for k, e in entries.items()}
        found[kind] = {k: f"{entries[k]['dtype']} {shapes[k]}" for k in sorted(entries)}
        if kind == "state":
            found["about"] = {key: about[key] for key in ("step", "lr_scale", "complete")}
    return found


def digest(run):
    """One sha256 of each file's tensors by name, whatever their order in the file."""
    found = {}
    for kind in ("weights", "state"):
        entries, _, content = header(run / f"{kind}.safetensors")
        sha = hashlib.sha256()
        for key in sorted(entries):
            start, end = entries[key]["data_offsets"]
            one = hashlib.sha256(content[start:end]).hexdigest()
            sha.update(f"{key} {entries[key]['dtype']} {entries[key]['shape']} {one}\n".encode())
        found[kind] = sha.hexdigest()
    return found


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


SAMPLED = {  # stored runs, and how they are sampled
    "vae": "-n 4",
    "prior": "-n 1",
    "multirate": "-n 1 --beta 0.5",
    "supervise": "-n 1",
}

MEASURED = "vae", "multirate", "supervise"


def sampled(name, folder):
    """Images of a stored run, as a .npy file."""
    out = folder / f"{name}.npy"
    words = ["sample", str(RUNS / name), "--seed", "0", *SAMPLED[name].split()]
    assert main([*words, "--out", str(out)]) == 0
    return out


def measured(name):
    """The bound of a stored run's test images, and the other numbers that come with it."""
    found = json.loads(printed("evaluate", str(RUNS / name), "--metrics", "elbo", "--json"))
    return {key: value for key, value in found.items() if isinstance(value, int | float)}


def resumed(folder):
    """A copy of the stored run that was stopped, trained to its end."""
    run = folder / "vae"
    shutil.copytree(RUNS / "vae", run)
    assert main(["resume", str(run)]) == 0
    return run


# ---------------------------------------------------------------------------------- machines


def machine():
    """What bits of float32 arithmetic depend on: torch, instructions, processor, and settings."""
    import torch

    info = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    )
    facts = dict(re.findall(r"^(.+?)\s*: (.*)$", info.partition("\n\n")[0], re.MULTILINE))
    flags = facts.get("flags", facts.get("Features", ""))
    used = sorted(f for f in flags.split() if re.match(r"avx|sse|fma|f16c|amx|asimd|sve|bf16", f))
    chip = [facts.get(key, "?") for key in ("vendor_id", "cpu family", "model")]
    limits = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")
    return " ".join(
        [
            f"torch-{torch.__version__}",
            torch.backends.cpu.get_cpu_capability(),
            *(chip if info else [platform.machine(), platform.processor()]),
            hashlib.sha256(" ".join(used).encode()).hexdigest()[:8],
            *(f"{name}={os.environ[name]}" for name in limits if name in os.environ),
        ]
    )


def entry():
    """All that depends on the machine, made here by the latentia that Python finds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {case: digest(train(folder, case)) for case in CASES}
        samples = {f"sample {run}": sha(sampled(run, folder)) for run in SAMPLED}
        (folder / "resumed").mkdir()
        return {**found, **samples, "resume": digest(resumed(folder / "resumed"))}


def reference(folder, environment=()):
    """The entry of this machine, made by the reference commit; None where git does not have it."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", REFERENCE, "src"], capture_output=True, check=False
    )
    if archive.returncode:
        return None
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    out = folder / "entry.json"
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), **dict(environment)}
    command = [sys.executable, str(HERE / "golden.py"), str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


# ----------------------------------------------------------------------------------- options


class Reached(Exception):
    """A command line came to its parser."""


def options(*words):
    """Each option of a command as tyro parses it: its default, and its choices if it has some.

    What is positional is called 1, 2 ...: its name is of the help, whose words may change.
    """
    import tyro
    import tyro.extras

    cli = tyro.cli

    def reach(function, **how):
        raise Reached(function)

    tyro.cli = reach
    try:
        main([*words, "--help"])  # which parses every option
    except Reached as reached:
        function = reached.args[0]
    finally:
        tyro.cli = cli
    if not inspect.isclass(function):
        function = _returning_its_arguments(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(function, use_underscores=False)
    actions = [each for each in parser._actions if "--help" not in each.option_strings]
    needed = [each for each in actions if each.required]
    given = [word for each in needed for word in (*each.option_strings[:1], "x")]
    values = cli(function, args=given, use_underscores=False)
    found, position = {}, 0
    for each in actions:
        position += not each.option_strings
        name = " ".join(each.option_strings) or str(position)
        value = functools.reduce(_attribute, each.dest.split("."), values)
        known = {"required": True} if each in needed else {"default": _plain(value)}
        if each.choices:
            known["choices"] = sorted(map(str, each.choices))
        found[name] = known
    return found


def _returning_its_arguments(function):
    @functools.wraps(function)
    def arguments(*args, **kwargs):
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        return SimpleNamespace(**bound.arguments)

    return arguments


def _attribute(value, name):
    return getattr(value, name.replace("-", "_"))


def _plain(value):
    return json.loads(json.dumps(value, default=str))


def all_options():
    names = [name for name in command_names() if name != "train"]
    found = {name: options(name) for name in names}
    return found | {f"train {name}": options("train", name) for name in recipe_names()}


def write(file, content):
    """JSON whose second level stands on a line each, so that a change of it reads as one."""
    lines = []
    for key, value in content.items():
        inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(entry()), encoding="utf-8")
