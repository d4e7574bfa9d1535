"""What is decoded once is trusted later only if it is whole and still the same."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.core.progress import show_progress
from latentia.data import Source, cache, open_images
from latentia.data.reading import Reading


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    rng = np.random.default_rng(0)
    for at in range(12):
        Image.fromarray(rng.integers(0, 256, (9, 11), dtype=np.uint8)).save(path / f"{at:02}.png")
    return path


def pixels(folder, size=None):
    return open_images(str(folder), size).split("train").pixels


def never(*_):
    raise AssertionError("decoded again")


def forbid_decoding(monkeypatch):
    monkeypatch.setattr("latentia.data.image_files.ImageFiles.scan_headers", never)


def test_a_cached_open_equals_a_fresh_one(folder, monkeypatch):
    fresh = open_images(str(folder), 6)
    first, spec = fresh.split("train").get_batch(slice(None)), fresh.to_metadata()
    forbid_decoding(monkeypatch)
    again = open_images(str(folder), 6)
    assert torch.equal(again.split("train").get_batch(slice(None)).image, first.image)
    assert again.to_metadata() == spec


def test_the_shape_alone_comes_from_the_cache(folder, monkeypatch):
    pixels(folder)
    forbid_decoding(monkeypatch)
    assert open_images(str(folder)).shape == (1, 9, 11)


def test_a_size_that_is_asked_for_is_the_one_that_was_found(folder, monkeypatch):
    """As a run asks for its images again, by the shape that it was trained on."""
    found = open_images(str(folder))
    expected = found.split("train").get_batch(slice(None)).image
    forbid_decoding(monkeypatch)
    again = open_images(str(folder), (9, 11), 1)
    assert torch.equal(again.split("train").get_batch(slice(None)).image, expected)
    assert again.to_metadata() == found.to_metadata()


def test_a_spoilt_note_of_the_shape_is_written_anew(folder):
    expected = pixels(folder)
    (note,) = (cache.cache_root() / "images").glob("*.shape")
    note.write_text("[1, 9")
    assert torch.equal(pixels(folder), expected)
    assert note.read_text().startswith("[1, 9, 11]\n")  # then its checksum


def test_a_touched_file_a_new_file_and_another_size_are_read_anew(folder):
    assert len(pixels(folder)) == 12
    Image.new("L", (11, 9), 77).save(folder / "00.png")
    os.utime(folder / "00.png", ns=(1, 1))
    assert (pixels(folder)[0] == 77).all()
    Image.new("L", (11, 9)).save(folder / "12.png")
    assert len(pixels(folder)) == 13
    assert pixels(folder, 5).shape == (13, 1, 5, 5)


def test_options_of_reading_are_part_of_the_key(tmp_path):
    Image.new("LA", (3, 3), (0, 0)).save(tmp_path / "a.png")
    for background in (0.0, 1.0):
        found = open_images(Source(str(tmp_path), Reading(background=background))).split("train")
        assert found.get_batch(slice(None)).image.mean() == background


def test_an_interrupted_decode_leaves_nothing(folder, monkeypatch):
    from latentia.data.image_files import ImageFiles

    def interrupted(self, out, prep):
        out[:6] = 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "decode_into", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pixels(folder)
    assert list((cache.cache_root() / "images").glob("*/")) == []
    assert pixels(folder).float().std() > 50


@pytest.mark.parametrize("name", ["about.json", "pixels.npy", "columns.npz"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_cache_is_made_anew(folder, name, damage):
    expected = pixels(folder).clone()
    (file,) = (cache.cache_root() / "images").glob(f"*/{name}")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-100] if name == "pixels.npy" else b"{")
    assert torch.equal(pixels(folder), expected)
    assert torch.equal(pixels(folder), expected)


def test_what_a_killed_process_left_is_swept(folder):
    left = cache.cache_root() / "images" / "0.dead.part"
    young = cache.cache_root() / "images" / "1.busy.part"
    for path in (left, young):
        path.mkdir(parents=True)
    os.utime(left, (0, 0))
    pixels(folder)
    assert not left.exists()
    assert young.exists()


def test_without_a_cache_images_stay_in_memory(folder, tmp_path, monkeypatch, recwarn):
    expected = pixels(folder).clone()
    (tmp_path / "file").touch()
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "file" / "below"))
    assert torch.equal(pixels(folder), expected)
    assert not recwarn.list


def test_a_full_disk_leaves_images_in_memory(folder, monkeypatch):
    expected = pixels(folder, 5).clone()
    for path in (cache.cache_root() / "images").glob("*/"):
        path.rename(path.with_name("elsewhere"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert torch.equal(pixels(folder, 5), expected)
    assert [path.name for path in (cache.cache_root() / "images").glob("*/")] == ["elsewhere"]


def test_many_pixels_are_mapped(folder, monkeypatch):
    expected = open_images(str(folder)).split("train").get_batch(torch.tensor([3, 1]))
    monkeypatch.setattr(cache, "MAX_IN_MEMORY_BYTES", 100)
    loads = []
    load = np.load
    monkeypatch.setattr(
        np, "load", lambda *a, **k: loads.append(k.get("mmap_mode")) or load(*a, **k)
    )
    found = open_images(str(folder)).split("train").get_batch(torch.tensor([3, 1]))
    assert loads[0] == "c"
    assert torch.equal(found.image, expected.image)


def test_arrays_in_memory_are_not_cached():
    open_images(np.zeros((4, 3, 3), np.uint8)).split("train")
    assert not (cache.cache_root() / "images").exists()


def test_short_work_is_silent_and_long_work_counts(capsys, monkeypatch):
    assert sum(show_progress([2, 3], 5, "x: decoding")) == 5
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("latentia.core.progress.INITIAL_DELAY", -1.0)
    assert sum(show_progress([2000, 3000], 5000, "x: decoding")) == 5000
    first, last = capsys.readouterr().err.splitlines()
    assert first == "x: decoding 2,000/5,000"  # its time is not known yet
    assert last == "x: decoding 5,000/5,000"  # nor its speed, in less than a second
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert sum(show_progress([2000, 3000], 5000, "x: decoding")) == 5000
