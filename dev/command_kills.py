"""Stop commands at every write, or at random moments, repeat them, and compare the bytes.

`python dev/command_kills.py --out /tmp/stops` forks a process for each command. A process is killed
(SIGKILL) or interrupted (Ctrl-C) just before its k-th change of a file, for k spread over all of
them, or with `--moments N` at N random moments. Then the same command runs again until it ends. Its
files must have the bytes of a command that nothing stopped, and no other file may be left or
changed. One line a fault; the last line counts, and the exit code is 1 if there is a fault.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import time
import traceback
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN = "--data photos --hidden 8 --latent 2 --batch 8 --epochs 2 --save-every 3 --log-every 2"
COMMANDS = {
    "train": f"train mnist_mlp_vae {TRAIN} --run new",
    "resume": "resume cut",
    "prior": "train latent_prior --autoencoder run --width 8 --depth 1 --epochs 2 --run new",
    "sweep": f"sweep mnist_mlp_vae {TRAIN} --over beta=0.5,2 --trials 2 --out new",
    "evaluate": "evaluate run --metrics elbo,fd,image --features pixels --split all",
    "doctor": "doctor run --table problems.csv",
    "report": "report run",
    "encode csv": "encode run --out new.csv",
    "encode npz": "encode run --out new.npz",
    "encode groups": "encode run --out new.csv --clusters 2 --sheet new.png --copy-to groups",
    "encode tsv": "encode run --out new.tsv",
    "export": "export run --to onnx --out new",
    "sample": "sample run -n 6 --out samples/ --latents-out drawn.csv",
    "choose": "choose run --for reconstruction --points 3",
    "traverse": "traverse run 0 --out new.gif",
    "extend": "resume run --epochs 3",
}
WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
# times, and files that name them; locks of a sweep stay
DIFFERENT = ("timing.jsonl", "sweep.log", ".lock")


def is_write(event: str, arguments: tuple) -> bool:
    if event == "open":
        _, mode, flags = arguments
        is_open = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(is_open) or any(letter in str(mode or "") for letter in "wax+")
    return event in WRITES


def start(words: list[str], folder: Path, stop_at: int = 0, number: int = signal.SIGKILL) -> int:
    """Fork a process that runs the command; it sends itself the signal before write `stop_at`."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code, count = 99, 0

    def count_write(event: str, arguments: tuple) -> None:
        nonlocal count
        text = str(arguments[0]) if arguments else ""
        if not is_write(event, arguments) or "/dev/" in text or "__pycache__" in text:
            return
        count += 1
        if count == stop_at:
            os.kill(os.getpid(), number)

    try:
        os.chdir(folder)
        log = os.open(folder.with_name(f"{folder.name}.log"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.addaudithook(count_write)
        from latentia.cli.main import main

        code = main(words)
        if stop_at < 0:
            folder.with_name(f"{folder.name}.count").write_text(str(count))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def read_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(DIFFERENT)
    }


def prepare(folder: Path) -> None:
    """Write images in two folders, a run of many betas, and one that was stopped."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 28, 28), np.uint8)
    for number, image in enumerate(pixels):
        path = folder / "photos" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    words = ["train", "mnist_mlp_vae", *TRAIN.split(), "--multirate", "0.1:10", "--run"]
    assert wait(start([*words, "run"], folder)) == 0
    process = start([*words, "cut"], folder)
    while not (folder / "cut/state.safetensors").exists():
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    wait(process)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="new folder to work in")
    parser.add_argument("--commands", help="names, separated by commas (default: all)")
    parser.add_argument("--stops", type=int, default=20, help="stops of each command and signal")
    parser.add_argument("--moments", action="store_true", help="random moments in place of writes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import latentia.api.run  # noqa: F401  (once, for all forks)
    import latentia.report.page  # noqa: F401

    os.environ["LATENTIA_CACHE"] = str(args.out.resolve() / "cache")
    base, cut = args.out.resolve() / "base", args.out.resolve() / "work"
    rng, n_stops, n_faults = random.Random(args.seed), 0, 0
    base.mkdir(parents=True)
    prepare(base)
    for name in args.commands.split(",") if args.commands else COMMANDS:
        words = COMMANDS[name].split()
        copy_anew(base, cut)
        begin = time.monotonic()
        code = wait(start(words, cut, -1))
        seconds = time.monotonic() - begin
        expected, count = read_files(cut), int((args.out / "work.count").read_text())
        print(f"{name}: code {code}, {seconds:.1f} s, {count} writes", flush=True)
        steps = sorted({1 + k * count // args.stops for k in range(args.stops)})
        for number, step in product((signal.SIGKILL, signal.SIGINT), steps):
            copy_anew(base, cut)
            moment = rng.uniform(0.02, 1) * seconds if args.moments else None
            faults = stop(words, cut, number, step, moment)
            again = wait(start(repeat(words, cut), cut))
            files = read_files(cut)
            names = files.keys() | expected.keys()
            different = [each for each in names if files.get(each) != expected.get(each)]
            if again != code or different:
                faults.append(f"again: code {again}, different {different}: {read_log(cut)}")
            for fault in faults:
                place = step if moment is None else f"{moment:.2f} s"
                print(f"  {signal.Signals(number).name} at {place}: {fault}", flush=True)
            n_stops, n_faults = n_stops + 1, n_faults + bool(faults)
    print(f"{n_stops} stops, seed {args.seed}: {n_faults} with faults")
    return 1 if n_faults else 0


def copy_anew(base: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)


def read_log(folder: Path) -> str:
    return folder.with_name(f"{folder.name}.log").read_text(errors="replace")[-600:]


def stop(words: list[str], folder: Path, number: int, step: int, moment: float | None) -> list[str]:
    """Stop a command at a write, or after so many seconds; return what is wrong afterwards."""
    before = read_files(folder)  # a kill may have left a file in the run that it stopped
    process = start(words, folder, step if moment is None else 0, number)
    if moment is not None:
        time.sleep(moment)
        os.kill(process, number)
    code = wait(process)
    new = read_files(folder).keys() - before
    left = [each for each in new if ".part" in each or ".tmp" in each]
    if number == signal.SIGINT and (left or code not in (130, 0, 1)):
        return [f"interrupted with code {code}, left {left}: {read_log(folder)}"]
    return []


def repeat(words: list[str], folder: Path) -> list[str]:
    """Return the command that goes on: of a training with a run, `resume`."""
    is_run = words[0] == "train" and (folder / "new/run.json").exists()
    return ["resume", "new"] if is_run else words


if __name__ == "__main__":
    sys.exit(main())
