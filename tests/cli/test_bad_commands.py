"""300 bad command lines: no traceback, one or two sentences, and nothing of the user's changed."""

import os
import re
import shutil
import signal
import sys

import numpy as np
import pytest
import uvicorn
from bad_commands import SEED, digest_files, draw_commands
from PIL import Image

from latentia.cli.main import main

FAST, WHOLE = 24, 300
MAY_WRITE = ("evaluate", "doctor", "report", "resume", "choose", "export")  # into the run


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A user's folder: images, tables, runs, and files that are broken or hold nothing."""
    folder = tmp_path_factory.mktemp("place")
    user = folder / "user"
    (user / "photos").mkdir(parents=True)
    (user / "empty").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    np.save(user / "toy.npy", pixels)
    for number, image in enumerate(pixels[:6]):
        Image.fromarray(image).save(user / "photos" / f"{number:02}.png")
    (user / "table.csv").write_text("key,a,b\n" + "".join(f"{k},{k % 2},x\n" for k in range(40)))
    (user / "empty.csv").touch()
    (user / "broken.png").write_bytes((user / "photos/00.png").read_bytes()[:300])
    np.savez(user / "broken.npz", x=pixels)
    (user / "broken.npz").write_bytes((user / "broken.npz").read_bytes()[:5000])
    os.mkfifo(user / "pipe")
    (user / "loop").symlink_to(user / "loop")
    (user / "unreadable.csv").write_text("key,a\n0,1\n")
    (user / "unreadable.csv").chmod(0)
    (user / "unreadable").mkdir(mode=0)
    quick = ["--data", str(user / "toy.npy"), "--epochs", "1", "--batch", "16"]
    vae = ["train", "mnist_mlp_vae", *quick, "--latent", "3", "--hidden", "8"]
    assert main([*vae, "--run", str(user / "run")]) == 0
    assert main([*vae, "--multirate", "0.1:10", "--run", str(user / "many")]) == 0
    prior = ["train", "latent_prior", "--autoencoder", str(user / "run"), "--width", "8"]
    assert main([*prior, "--epochs", "1", "--run", str(user / "prior")]) == 0
    return user


def run_command(words, seconds):
    """The exit code; 130 if the command goes on for so long that it is interrupted."""

    def interrupt(*_):
        signal.setitimer(signal.ITIMER_REAL, 1)  # again, for code that goes on after the first
        os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return main(words)
    except SystemExit as end:  # of the parser
        return end.code or 0
    except KeyboardInterrupt:
        return 130
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def check_commands(commands, user, tmp_path, capfd, monkeypatch, seconds=6):
    """Run each command in an empty folder beside the user's; return how many ended how."""
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: sockets[0].close())
    monkeypatch.setattr("latentia.explorer.session.RunSession.load_latents", lambda self: None)
    (tmp_path / "user").symlink_to(user)
    monkeypatch.chdir(tmp_path)
    before, faults, codes = digest_files(user), [], {}
    for words in commands:
        try:
            code = run_command(words, seconds)
        except BaseException as problem:
            code = f"{type(problem).__name__}: {problem}"[:300]
        _, err = capfd.readouterr()
        codes[code] = codes.get(code, 0) + 1
        left = sorted(path.name for path in tmp_path.iterdir() if path.name != "user")
        after = digest_files(user)
        changed = [path for path in before | after if before.get(path) != after.get(path)]
        allowed = words[0] in MAY_WRITE and code != 2
        written = {word.removeprefix("--out=") for word in words}  # named by the user himself
        changed = [path for path in changed if os.path.relpath(path, user.parent) not in written]
        if code not in (0, 1, 2, 130) or "Traceback" in err:
            faults.append((words, code, err[-600:]))
        elif code == 2 and left:
            faults.append((words, "left behind", left))
        elif code == 2 and words[0] != "env" and not is_sentence(err):
            faults.append((words, "no sentence", err[-600:]))
        elif changed and not (allowed and all("/user/" in path for path in changed)):
            faults.append((words, "changed", changed))
        before = after
        for name in left:
            path = tmp_path / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return codes, faults


def is_sentence(text):
    """Whether the last line, after notes on the images, is a sentence, or ends in a command."""
    (*notes, last) = text.strip().splitlines() or [""]
    return len(notes) <= 3 and bool(re.search(r"\S{2}.*(\.|hf auth login)$", last, re.S))


def test_bad_command_lines_are_refused_in_a_sentence(user, tmp_path, capfd, monkeypatch):
    commands = draw_commands(FAST)
    _, faults = check_commands(commands, user, tmp_path, capfd, monkeypatch, seconds=2)
    assert not faults


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_300_bad_command_lines(user, tmp_path, capfd, monkeypatch):
    seed = int(os.environ.get("LATENTIA_FUZZ_SEED", SEED))
    count = int(os.environ.get("LATENTIA_FUZZ_COUNT", WHOLE))
    commands = draw_commands(count, seed)
    codes, faults = check_commands(commands, user, tmp_path, capfd, monkeypatch)
    sys.stderr.write(f"seed {seed}: {codes}\n")
    assert not faults, "\n".join(map(str, faults))
