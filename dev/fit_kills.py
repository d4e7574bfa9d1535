"""Kill `latentia fit` at random moments, and compare every stage with its command run by hand.

python dev/fit_kills.py FOLDER --minutes 2 --kills 10 --out /tmp/kills

FOLDER holds images. The same command is killed and repeated; the last one ends by itself. Then the
commands that the fit lists are run by hand in another folder. Files that differ are named, and the
exit code is 1.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

FILES = "log.jsonl", "weights.safetensors", "state.safetensors"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    killed, by_hand = args.out / "killed", args.out / "by_hand"
    for folder in (killed, by_hand):
        folder.mkdir(parents=True)
    program = [sys.executable, "-m", "latentia"]
    command = [*program, "fit", str(args.data.resolve()), "--minutes", str(args.minutes)]
    command += ["--run", "runs/photos"]
    rng = random.Random(args.seed)
    longest = 60 * args.minutes / args.kills * 2
    for k in range(args.kills):
        process = subprocess.Popen(command, cwd=killed, stderr=subprocess.DEVNULL)
        seconds = rng.uniform(1, longest)
        try:
            process.wait(seconds)
            print(f"kill {k}: the fit had ended before {seconds:.1f} s")
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            print(f"kill {k}: after {seconds:.1f} s, {describe(killed)}", flush=True)
    subprocess.run(command, cwd=killed, check=True, stderr=subprocess.DEVNULL)
    content = json.loads((killed / "runs/photos/fit.json").read_text("utf-8"))
    for line in content["commands"]:
        words = line.replace("latentia", " ".join(program), 1)
        subprocess.run(words, cwd=by_hand, check=True, shell=True, stderr=subprocess.DEVNULL)
    runs = [stage["run"] for stage in content["stages"]]
    pairs = [Path(run, name) for run in runs for name in FILES] + [Path(runs[0], "latents.csv")]
    different = [
        str(path) for path in pairs if (killed / path).read_bytes() != (by_hand / path).read_bytes()
    ]
    print(f"{len(pairs) - len(different)} of {len(pairs)} files equal; different: {different}")
    return bool(different)


def describe(folder: Path) -> str:
    """Name the stages that were begun, and their numbers of epochs."""
    path = folder / "runs/photos/fit.json"
    if not path.exists():
        return "before the first stage"
    stages = json.loads(path.read_text("utf-8"))["stages"]
    return ", ".join(
        f"{each['recipe']} of {each['parameters']['epochs']} epochs" for each in stages
    )


if __name__ == "__main__":
    sys.exit(main())
