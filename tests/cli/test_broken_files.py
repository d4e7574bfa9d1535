"""Broken files of every kind: one sentence, or what is left is used; never a traceback."""

import io
import logging
import os
import shutil
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from latentia.cli.main import main
from latentia.core.progress import enable_progress
from latentia.data import open_images
from latentia.metrics.label_classifier import get_label_classifier
from latentia.training.checkpoint import write_tensors
from latentia.training.precision import get_timings

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
TRAIN = ["--hidden", "8", "--latent", "3", "--batch", "16", "--epochs", "1"]


def make_npy(shape, descr="'|u1'", fortran=False, data=b"", version=1, pad=True):
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    header = (text + " " * (117 - len(text)) * pad + "\n").encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header)) + header + data


def zip_of(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def png(size=(28, 28)):
    file = io.BytesIO()
    Image.effect_noise(size, 60).save(file, "png")
    return file.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width, height):
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * 10**6))
    return b"\x89PNG\r\n\x1a\n" + head + body + png_chunk(b"IEND", b"")


GOOD, GOOD_NPZ = npy(PIXELS), npz(x=PIXELS, y=np.arange(40) % 3)
ARRAYS = {
    "empty.npy": b"",
    "empty.npz": b"",
    "short.npy": GOOD[:5000],
    "header.npy": GOOD[:40],
    "magic.npy": b"\x92" + GOOD[1:],
    "text.npy": b"1,2,3\n4,5,6\n",
    "version.npy": make_npy("(40, 28, 28)", data=PIXELS.tobytes(), version=9),
    "absurd.npy": make_npy("(4000000000, 4000000000, 4000)"),
    "negative.npy": make_npy("(-1, 28, 28)", data=PIXELS.tobytes()),
    "nested.npy": make_npy("((((((1,),),),),),)", data=b"1"),
    "code.npy": make_npy("(__import__('os').getpid(), 1, 1)", data=b"1" * 100),
    "descr.npy": make_npy("(40, 28, 28)", descr="'|V5'", data=PIXELS.tobytes()),
    "unknown.npy": make_npy("(40, 28, 28)", descr="'xyz'", data=PIXELS.tobytes()),
    "objects.npy": npy(np.array([PIXELS[0], None], object)),
    "fortran.npy": npy(np.asfortranarray(PIXELS)),
    "zero.npy": npy(np.zeros((0, 28, 28), np.uint8)),
    "text-array.npy": npy(np.array(["a", "b"])),
    "complex.npy": npy(np.ones((4, 8, 8), complex)),
    "nan.npy": npy(np.full((40, 8, 8), np.nan, np.float32)),
    "short.npz": GOOD_NPZ[:8000],
    "tail.npz": GOOD_NPZ[:-30],
    "flipped.npz": GOOD_NPZ[:2000] + bytes([GOOD_NPZ[2000] ^ 255]) + GOOD_NPZ[2001:],
    "magic.npz": b"PK\x07\x08" + GOOD_NPZ[4:],
    "objects.npz": npz(x=PIXELS, y=np.array([{}] * 40, object)),
    "member.npz": zip_of(x=b"no array", y=b""),
    "absurd.npz": zip_of(x=make_npy("(4000000000, 4000000000)")),
    "bomb.npz": zip_of(x=make_npy("(40000, 1000, 1000)", data=b"\0" * 10**7)),
    "labels.npz": npz(x=PIXELS, y=np.arange(3)),
    "noise.npz": os.urandom(2000),
    "noise.parquet": os.urandom(2000),
    "empty.parquet": b"",
    "magic.parquet": b"PAR1" + b"\0" * 100 + b"PAR1",
}  # fmt: skip
IMAGES = {
    "empty.png": b"",
    "short.png": png()[:300],
    "text.png": b"this is no image",
    "bomb.png": png_bomb(60000, 60000),
    "huge.png": png_bomb(2**31 - 1, 2**31 - 1),
    "crc.png": png()[:45] + bytes([png()[45] ^ 255]) + png()[46:],
    "zero.png": png_bomb(0, 0),
    "noise.jpg": b"\xff\xd8\xff\xe0" + os.urandom(500),
    "noise.tif": b"II*\0" + os.urandom(500),
    "loop.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0" + b"\0" * 50,
    "noise.gif": b"GIF89a" + os.urandom(200),
    "noise.webp": b"RIFF\xff\xff\xff\x7fWEBPVP8 " + os.urandom(100),
    "noise.bmp": b"BM" + os.urandom(100),
}
TABLES = {
    "empty.csv": b"",
    "head.csv": b"key,a\n",
    "ragged.csv": b"key,a\n0,1,2,3\n1\n,,,,,\n",
    "quote.csv": b'key,a\n0,"1\n1,2\n',
    "bytes.csv": b"key,a\n\xff\xfe\x00,1\n",
    "zeros.csv": b"\0" * 100,
    "same.csv": b"key,key,a\n0,1,2\n",
    "noise.parquet": os.urandom(500),
    "pickle.csv": b"\x80\x04\x95cposix\nsystem\n.",
    "no-key.csv": b"a,b\n1,2\n",
}


@pytest.fixture(autouse=True)
def _quiet_loggers(monkeypatch):
    """A library's logger writes to the stream of the test that imported it, which is closed."""
    monkeypatch.setattr(logging, "raiseExceptions", False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    np.savez(folder / "toy.npz", x=PIXELS, y=np.arange(40) % 3)
    words = ["train", "mnist_mlp_vae", "--data", str(folder / "toy.npz"), *TRAIN]
    assert main([*words, "--run", str(folder / "run")]) == 0
    return folder / "run"


def check(capfd, *words, codes=(0, 2)):
    """Exit code; a mistake is one or two sentences, on as many lines."""
    capfd.readouterr()
    code = main([str(word) for word in words])
    error = capfd.readouterr().err.strip()
    assert code in codes, error
    assert "Traceback" not in error
    if code == 2:
        assert error
        assert len(error.splitlines()) <= 4, error
        assert len(error) < 1500, error
    return code, error


@pytest.mark.parametrize("name", ARRAYS)
def test_a_broken_array_or_archive(name, tmp_path, capfd):
    path = tmp_path / name
    path.write_bytes(ARRAYS[name])
    valid = ("fortran.npy", "labels.npz")
    code, _ = check(
        capfd, "train", "mnist_mlp_vae", "--data", path, *TRAIN, "--run", tmp_path / "r"
    )
    assert (code == 0) == (name in valid)
    assert path.read_bytes() == ARRAYS[name]
    assert (tmp_path / "r").exists() == (name in valid)


@pytest.mark.parametrize("name", IMAGES)
def test_a_broken_image(name, run, tmp_path, capfd):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(PIXELS[:20]):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    (folder / name).write_bytes(IMAGES[name])
    train = ["train", "mnist_mlp_vae", "--data", folder, *TRAIN, "--run"]
    code, error = check(capfd, *train, tmp_path / "r")
    assert (code, (tmp_path / "r").exists()) == (2, False)
    assert name in error
    assert check(capfd, *train, tmp_path / "s", "--skip-unreadable")[0] == 0
    out = ["--out", tmp_path / "out.png"]
    assert check(capfd, "reconstruct", run, folder / name, *out)[0] == 2
    assert check(capfd, "traverse", run, folder / name, *out)[0] == 2
    assert not (tmp_path / "out.png").exists()
    assert (folder / name).read_bytes() == IMAGES[name]


@pytest.mark.parametrize("name", TABLES)
def test_a_broken_table(name, run, tmp_path, capfd):
    path = tmp_path / name
    path.write_bytes(TABLES[name])
    out = ["--out", tmp_path / "latents.csv"]
    partly_valid = ("quote.csv", "bytes.csv", "no-key.csv")
    for words in (["encode", *out], ["relate"]):
        code, _ = check(capfd, words[0], run, "--labels", path, *words[1:])
        assert code == 2 or name in partly_valid
    train = ["train", "mnist_mlp_vae", "--data", run.parent / "toy.npz", *TRAIN]
    assert check(capfd, *train, "--exclude", path, "--run", tmp_path / "r")[0] in (0, 2)
    check(capfd, "decode", run, "--latents", path, "--out", tmp_path / "decoded.png", codes=(2,))


def damage_weights(path, kind):
    content = path.read_bytes()
    tensors = load_file(path)
    first = next(name for name, tensor in tensors.items() if tensor.ndim == 2)
    if kind == "truncated":
        path.write_bytes(content[:-100])
    elif kind == "cut header":
        path.write_bytes(content[:50])
    elif kind == "absurd header":
        path.write_bytes(struct.pack("<Q", 2**62) + content[8:])
    elif kind == "header beyond file":
        path.write_bytes(struct.pack("<Q", 10**7) + content[8:])
    elif kind == "no json":
        path.write_bytes(content[:8] + b"[" + content[9:])
    elif kind == "absurd shape":
        path.write_bytes(content.replace(b'"shape":[', b'"shape":[9999999999,', 1))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "missing":
        path.unlink()
    elif kind == "a folder":
        path.unlink()
        path.mkdir()
    else:
        changes = {
            "NaN": {first: tensors[first] * torch.nan},
            "infinity": {first: tensors[first].index_fill(0, torch.tensor([0]), torch.inf)},
            "wrong shape": {first: tensors[first].T.contiguous()},
            "wrong type": {first: tensors[first].to(torch.int8)},
            "half": {name: tensor.half() for name, tensor in tensors.items()},
            "one more": {"more": torch.zeros(3)},
        }
        tensors |= changes.get(kind, {})
        if kind == "one less":
            del tensors[first]
        write_tensors(path, tensors, {})  # with the digest of what is wrong


@pytest.mark.parametrize(
    "kind",
    ["truncated", "cut header", "absurd header", "header beyond file", "no json", "absurd shape",
     "empty", "missing", "a folder", "NaN", "infinity", "wrong shape", "wrong type", "half",
     "one more", "one less"],
)  # fmt: skip
def test_broken_weights(kind, run, tmp_path, capfd):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    damage_weights(copy / "weights.safetensors", kind)
    commands = [["sample", copy, "-n", 1, "--out", tmp_path / "s.png"], ["evaluate", copy],
                ["encode", copy, "--out", tmp_path / "latents.csv"]]  # fmt: skip
    if kind == "NaN":
        commands += [["reconstruct", copy, "--out", tmp_path / "r.png"], ["report", copy]]
    for words in commands:
        code, error = check(capfd, *words)
        assert code == (0 if kind == "half" else 2)
        assert "weights" in error or kind == "half", error
    check(capfd, "doctor", copy, codes=(0, 1, 2))
    left = {path.name for path in tmp_path.iterdir() if path.name[0] != "."}
    assert left == {"run"} or kind == "half"


JSON_FILES = ("evaluation.json", "log.jsonl", "timing.jsonl", "report.html")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"metrics": 3}\n'])
def test_broken_json_beside_a_run(content, run, tmp_path, capfd):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for name in JSON_FILES:
        (copy / name).write_bytes(content)
    for words in (["doctor", copy], ["report", copy], ["evaluate", copy], ["resume", copy],
                  ["sample", copy, "-n", 1, "--out", tmp_path / "s.png"]):  # fmt: skip
        check(capfd, *words, codes=(0, 1, 2))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


DAMAGES = {
    "flipped": lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 64]) + b[len(b) // 2 + 1 :],
    "truncated": lambda b: b[: len(b) * 2 // 3],
    "empty": lambda b: b"",
    "noise": lambda b: os.urandom(len(b)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_entry_is_made_again(damage, tmp_path, own_cache, capfd, monkeypatch):
    monkeypatch.setattr("latentia.metrics.label_classifier.MIN_STEPS", 1)
    monkeypatch.setattr("latentia.metrics.label_classifier.MIN_EPOCHS", 1)
    np.savez(tmp_path / "toy.npz", x=PIXELS, y=np.arange(40) % 3)

    def open_toy():
        return open_images(str(tmp_path / "toy.npz"), size=20, channels=1)

    def read():
        """Everything that the cache keeps: of images, their sizes, a classifier, and timings."""
        own_size = open_images(str(tmp_path / "toy.npz"))
        split = open_toy().split("all")
        with enable_progress(True):
            classifier = get_label_classifier(open_toy())
        weights = torch.cat([p.flatten() for p in classifier.parameters()])
        return own_size.shape, split[:], split.columns["label"], weights, get_timings().keys()

    first = read()
    files = [path for path in sorted(own_cache.rglob("*")) if path.is_file()]
    names = {path.suffix for path in files}
    assert names >= {".npy", ".npz", ".json", ".shape", ".safetensors"}, names
    for path in files:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        again = read()
        for one, other in zip(first, again, strict=True):
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, path
        error = capfd.readouterr().err
        assert len(error.splitlines()) <= 3, (path, error)


FIFOS = [
    *("run.json", "log.jsonl", "evaluation.json", "diagnosis.json", "weights.safetensors"),
    *("state.safetensors", ".lock.owner", "progress/samples-0001.png"),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FIFOS)
def test_a_fifo_in_a_run_is_named_and_never_opened(name, run, tmp_path, capfd):
    copy, pipe = tmp_path / "run", tmp_path / "run" / name
    shutil.copytree(run, copy)
    pipe.parent.mkdir(exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    (copy / "fit.json").write_text("{}")
    message = f"{copy} holds a FIFO, {name}; put the file itself in its place, or remove it."
    for words in (["sample", copy], ["evaluate", copy], ["doctor", copy], ["resume", copy],
                  ["report", copy], ["train", "latent_prior", "--autoencoder", copy]):  # fmt: skip
        assert check(capfd, *words, codes=(2,))[1] == message
    data, options = str(run.parent / "toy.npz"), ["--minutes", "1", "--features", "none"]
    assert main(["fit", data, *options, "--run", str(copy)]) == 2
    assert capfd.readouterr().err.splitlines()[-1] == message


@pytest.mark.timeout(60)
def test_a_fifo_or_device_as_a_table_is_named_and_never_opened(run, tmp_path, capfd):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    train = ["train", "mnist_mlp_vae", "--data", run.parent / "toy.npz", *TRAIN]
    for name, kind in (("pipe.csv", "a FIFO"), ("zero.csv", "a socket or device")):
        path = tmp_path / name
        for words in (["relate", run, "--labels", path], [*train, "--labels", path],
                      [*train, "--exclude", path], ["decode", run, "--latents", path],
                      ["nearest", run, f"{path}:0"]):  # fmt: skip
            _, error = check(capfd, *words, codes=(2,))
            assert f"{name} is no table ({kind}, not a file)" in error or (
                f"{name} cannot be read ({kind}, not a file)" in error
            )
