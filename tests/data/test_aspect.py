"""Images of other proportions than the requested size: stretched, or their central part."""

from collections.abc import Generator
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling

import latentia
from latentia.api.training import start_run
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.data import Images, Source, open_images
from latentia.data.preprocess import preprocess_images, read_batch
from latentia.data.reading import Aspect, Reading
from latentia.diagnostics.run_context import RunContext

RNG = np.random.default_rng(0)


def read(data, size, aspect: Aspect = "crop", **reading):
    images = open_images(Source(data, Reading(aspect=aspect, **reading)), size)
    return images.split("all").get_batch(slice(None)).image


def save(folder, *arrays):
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number}.png")
    return str(folder)


@pytest.mark.parametrize("shape", [(32, 64), (64, 32)])
def test_crop_is_the_middle_of_the_image_resized_as_a_whole(tmp_path, shape):
    """The scale is 2, so that both orders of resizing and cutting agree up to Pillow's rounding."""
    array = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    h, w = shape[0] // 2, shape[1] // 2
    whole = np.asarray(Image.fromarray(array).resize((w, h), Resampling.BICUBIC))
    top, left = (h - 16) // 2, (w - 16) // 2
    middle = whole[top : top + 16, left : left + 16].transpose(2, 0, 1)
    found = read(save(tmp_path, array), 16)[0]
    torch.testing.assert_close(found, torch.tensor(middle) / 255, atol=1.01 / 255, rtol=0)


@pytest.mark.parametrize("size", [(7, 23), (64, 48), (9, 9)])
def test_crop_has_one_scale_and_one_centre(size):
    """The image of coordinates (x, y) stays linear, with one slope, about the image's centre."""
    y, x = np.meshgrid(np.arange(60) + 0.5, np.arange(100) + 0.5, indexing="ij")
    planes = np.stack([x, y])[None] / 100  # (1, 2, h, w), in [0, 1]
    out = read(planes.astype("f4"), size)[0].double().numpy() * 100
    scale = min(100 / size[1], 60 / size[0])
    for axis, (plane, n, centre) in enumerate(zip(out, size[::-1], (50, 30), strict=True)):
        line = plane.mean(axis)  # of x along the columns, of y along the rows
        expected = centre + scale * (np.arange(n) + 0.5 - n / 2)
        inner = slice(3, -3) if n > 8 else slice(2, -2)
        np.testing.assert_allclose(line[inner], expected[inner], atol=0.05)


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (9, 9), (16, 16)])
def test_pad_is_the_whole_image_in_the_middle(tmp_path, shape):
    """Without its padding an image is the original, resized with its proportions kept."""
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    images = open_images(Source(save(tmp_path, array), Reading(aspect="pad", background=0.5)), 16)
    batch = images.split("all").get_batch(slice(None))
    h, w = (round(16 * side / max(shape)) for side in shape)
    inside = slice((16 - h) // 2, (16 - h) // 2 + h), slice((16 - w) // 2, (16 - w) // 2 + w)
    mask = batch.columns[MASK_COLUMN][0, 0]
    assert (mask[inside] == 1).all()
    assert mask.sum() == h * w
    resized = np.asarray(Image.fromarray(array).resize((w, h), Resampling.BICUBIC))
    assert torch.equal(batch.image[0, 0][inside], torch.tensor(resized) / 255)
    assert (batch.image[0, 0][mask == 0] == 0.5).all()


def test_pad_reads_files_arrays_and_new_images_alike(tmp_path):
    arrays = RNG.integers(0, 256, (3, 20, 50), dtype=np.uint8)
    data = save(tmp_path, *arrays)
    images = open_images(Source(data, Reading(aspect="pad")), 8)
    for other in (arrays, list(arrays)):
        assert torch.equal(read(data, 8), read(other, 8))
    new, columns = read_batch([str(tmp_path / "1.png")], images.preprocessing)
    batch = images.split("all").get_batch(slice(1, 2))
    assert torch.equal(new, batch.image)
    assert torch.equal(columns[MASK_COLUMN], batch.columns[MASK_COLUMN])
    again = open_images(Source(data, Reading(aspect="pad")), 8)  # from the cache
    assert torch.equal(
        again.split("all").get_batch(slice(1, 2)).columns[MASK_COLUMN], columns[MASK_COLUMN]
    )
    assert open_images(Source(data, Reading()), 8).split("all").columns == {}


def test_a_column_of_the_name_of_the_mask_is_refused(tmp_path):
    arrays: dict = {"x": np.zeros((9, 4, 8)), MASK_COLUMN: np.arange(9)}
    np.savez(tmp_path / "a.npz", **arrays)
    images = open_images(Source(str(tmp_path / "a.npz"), Reading(aspect="pad")), 8)
    with pytest.raises(Error, match="labels have a column observed_pixels"):
        images.split("train")


@pytest.mark.parametrize("recipe", ["conv_vae", "photo_vae"])
def test_a_padded_run_resumes_to_the_bit_and_writes_no_padding(tmp_path, recipe):
    folder = tmp_path / "photos"
    folder.mkdir()
    save(folder, *(RNG.integers(0, 256, (8 + 4 * (k % 3), 16), dtype=np.uint8) for k in range(40)))
    parameters = {"data": str(folder), "size": 16, "latent": 2, "batch": 8, "epochs": 3}
    parameters |= {"features": "none", "augment": "flip"} if recipe == "photo_vae" else {}
    options = latentia.Options(aspect="pad", save_every=3, log_every=1)
    whole, events = start_run(recipe, parameters, options=options, run=tmp_path / "whole")
    n_events = sum(1 for _ in events)
    stopped, events = start_run(recipe, parameters, options=options, run=tmp_path / "stopped")
    assert isinstance(events, Generator)
    assert len(list(islice(events, n_events // 2))) == n_events // 2
    events.close()
    assert not latentia.load(stopped.path).is_complete
    latentia.resume(stopped.path, progress=False)
    assert (stopped.path / "log.jsonl").read_bytes() == (whole.path / "log.jsonl").read_bytes()
    tensors = [each.load_tensors() for each in (whole, stopped)]
    assert all(torch.equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items())
    run = latentia.load(whole.path)
    batch = run.images.split("test").get_batch(slice(None))
    missing = batch.columns[MASK_COLUMN].expand_as(batch.image) == 0
    found = run.reconstruct([run.images.split("test").keys[k] for k in range(len(batch.image))])
    assert missing.any()
    assert torch.equal(found[missing], batch.image[missing])
    context = RunContext(whole)  # of the doctor
    originals, decoded = context.decoded_means
    is_missing = context.held_out.get_batch(slice(None)).columns[MASK_COLUMN] == 0
    assert torch.equal(decoded[is_missing], originals[is_missing])
    table = run.encode()
    assert np.isfinite(table.distortion).all()
    assert MASK_COLUMN not in table.columns


def test_images_of_the_requested_proportions_keep_their_bits(tmp_path):
    array = RNG.integers(0, 256, (60, 90), dtype=np.uint8)
    data = save(tmp_path, array)
    for size in ("60x90", "20x30", "7x9"):
        same = torch.equal(read(data, size), read(data, size, "stretch"))
        assert same == (size != "7x9")


def test_files_pages_arrays_and_new_images_are_cropped_alike(tmp_path):
    arrays = RNG.integers(0, 256, (3, 20, 50), dtype=np.uint8)
    pages = [Image.fromarray(array) for array in arrays]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    expected = read(arrays, "8x6")
    assert torch.equal(read(str(tmp_path), "8x6"), expected)
    assert torch.equal(read(list(arrays), "8x6"), expected)
    preprocessing = open_images(Source(arrays, Reading(aspect="crop")), "8x6").preprocessing
    assert torch.equal(preprocess_images(pages, preprocessing), expected)
    as_channels = read(str(tmp_path), "8x6", pages="channels")
    assert torch.equal(as_channels[0], expected[:, 0])
    deep = read(arrays.astype("f4") / 255, "8x6")
    torch.testing.assert_close(deep, expected, atol=1 / 255, rtol=0)


def test_a_rotated_photograph_is_cropped_as_it_is_seen(tmp_path):
    array = RNG.integers(0, 256, (20, 50), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    for name, pixels, tag in (("upright", array, None), ("rotated", np.rot90(array), exif)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / name / "0.png", exif=tag)
    assert torch.equal(read(str(tmp_path / "rotated"), 8), read(str(tmp_path / "upright"), 8))


def test_the_note_names_the_option_and_crop_needs_none(tmp_path):
    data = save(tmp_path, np.zeros((10, 20), "u1"))
    assert "--aspect crop" in open_images(data, 8).notes[0]
    assert open_images(Source(data, Reading(aspect="crop")), 8).notes == []


def test_the_default_is_left_out_of_the_metadata():
    default, crop = Reading(), Reading(aspect="crop")
    assert ("aspect", "crop") in crop.list_pixel_options()
    assert "aspect" not in str(default.to_metadata((8, 8), 1))
    assert default.to_metadata((8, 8), 1)["preprocessing"]["filter"] == "bicubic, stretched"
    assert crop.to_metadata((8, 8), 1)["preprocessing"]["filter"] == "bicubic, cropped"


def test_a_run_reads_every_image_as_its_training_images(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    arrays = [RNG.integers(0, 256, (16, 24 + k % 3), dtype=np.uint8) for k in range(24)]
    save(folder, *arrays)
    run = latentia.train(
        *("conv_vae", str(folder)),
        size=8,
        latent=2,
        epochs=1,
        aspect="crop",
        run=tmp_path / "run",
        progress=False,
    )
    run = latentia.load(tmp_path / "run")
    stored = run.images.split("all").get_batch(slice(0, 3)).image
    assert run.images.preprocessing.aspect == "crop"
    assert torch.equal(run.preprocess(arrays[0]), stored[:1])
    assert torch.equal(run.preprocess(str(folder / "0.png")), stored[:1])
    assert Images.from_metadata(run.metadata["images"]).preprocessing.aspect == "crop"
    by_file, by_key = (run.reconstruct(name) for name in (str(folder / "0.png"), "0.png"))
    assert torch.equal(by_file, by_key)


def test_a_prior_reads_images_as_its_autoencoder_does(tmp_path):
    stretched = {"run": tmp_path / "run", "epochs": 1, "latent": 2, "progress": False}
    run = latentia.train("conv_vae", "digits:60", **stretched)
    with pytest.raises(Error, match="--aspect has no effect"):
        latentia.train("latent_prior", autoencoder=run, aspect="crop", progress=False)
