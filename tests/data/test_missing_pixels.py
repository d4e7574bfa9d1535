"""Missing pixels of images: transparent ones, NaN, and those of a folder of masks."""

import numpy as np
import pytest
import torch
from PIL import Image

import latentia
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.data import Source, open_images
from latentia.data import masks as module
from latentia.data.aspect import resize_planes
from latentia.data.listing import list_files
from latentia.data.preprocess import read_batch
from latentia.data.reading import Reading

RNG = np.random.default_rng(0)
SHAPE = (12, 20)


def read(data, size=None, channels=None, **reading):
    images = open_images(Source(data, Reading(background=0.25, **reading)), size, channels)
    return images.split("all").get_batch(slice(None)), images


def make_images(n=3):
    """Images with a mask each, whose pixels are observed where it is True."""
    pixels = RNG.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    return pixels, RNG.random((n, *SHAPE)) < 0.7


def write(folder, masks, *, pixels):
    """Write the same images in each way that marks pixels as missing."""
    for name in ("other", "alpha", "nan", "masks"):
        (folder / name / "a").mkdir(parents=True)
    for k, (image, mask) in enumerate(zip(pixels, masks, strict=True)):
        Image.fromarray(image).save(folder / f"other/a/{k}.png")
        Image.fromarray(np.where(mask, 255, 0).astype("u1")).save(folder / f"masks/a/{k}.tif")
        rgba = np.stack([image] * 3 + [np.where(mask, 255, 0).astype("u1")], -1)
        Image.fromarray(rgba).save(folder / f"alpha/a/{k}.png")
        values = np.where(mask, image / np.float32(255), np.nan).astype("f4")
        Image.fromarray(values).save(folder / f"nan/a/{k}.tif")
    return {
        "alpha": (str(folder / "alpha"), "alpha"),
        "nan": (str(folder / "nan"), "nan"),
        "masks": (str(folder / "other"), str(folder / "masks")),
        "array": (np.where(masks, pixels / np.float32(255), np.nan).astype("f4"), "nan"),
    }


@pytest.mark.parametrize("size", [None, "6x9", "31x17"])
def test_opacity_nan_and_masks_are_read_alike(tmp_path, size):
    pixels, masks = make_images()
    ways = write(tmp_path, masks, pixels=pixels)
    batches = {n: read(d, size, 1, missing=way)[0] for n, (d, way) in ways.items()}
    first = batches["nan"]
    for batch in batches.values():
        assert torch.equal(batch.columns[MASK_COLUMN], first.columns[MASK_COLUMN])
        torch.testing.assert_close(batch.image, first.image, atol=3e-3, rtol=0)
    mask = first.columns[MASK_COLUMN]
    assert 0 < mask.mean() < 1
    assert (first.image[mask == 0] == 0.25).all()
    if size is None:
        assert torch.equal(mask[:, 0].bool(), torch.from_numpy(masks))
        observed = torch.from_numpy(pixels / np.float32(255))[torch.from_numpy(masks)]
        torch.testing.assert_close(first.image[mask == 1], observed)


@pytest.mark.parametrize("name", ["alpha", "masks"])
def test_what_is_behind_a_missing_pixel_changes_no_other(tmp_path, name):
    pixels, masks = make_images()
    others = np.where(masks, pixels, RNG.integers(0, 256, pixels.shape)).astype("u1")
    for folder, values in (("one", pixels), ("two", others)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, masks, pixels=values)
    batches = []
    for folder in ("one", "two"):
        path = tmp_path / folder
        data, way = ("alpha", "alpha") if name == "alpha" else ("other", str(path / "masks"))
        batches.append(read(str(path / data), "7x9", 1, missing=way)[0])
    assert torch.equal(batches[0].image, batches[1].image)
    assert not np.array_equal(pixels, others)


def test_the_observed_part_of_a_constant_stays_constant():
    planes = np.full((1, 30, 40), 0.3, "f4")
    planes[0, RNG.random((30, 40)) < 0.4] = np.nan
    out = resize_planes(planes, (11, 13), "stretch")
    observed = ~np.isnan(out)
    assert 0.3 < observed.mean() < 1
    np.testing.assert_allclose(out[observed], 0.3, atol=1e-5)


def test_without_missing_pixels_the_bits_are_those_of_the_image(tmp_path):
    pixels, masks = make_images()
    ways = write(tmp_path, np.ones_like(masks), pixels=pixels)
    plain, _ = read(str(tmp_path / "other"), "7x9")
    reasons = {
        "alpha": "no pixel is more than half transparent",
        "nan": "no value is NaN",
        "masks": "all masks are white",
    }
    for name, reason in reasons.items():
        batch, images = read(ways[name][0], "7x9", 1, missing=ways[name][1])
        assert (batch.columns[MASK_COLUMN] == 1).all()
        torch.testing.assert_close(batch.image, plain.image, atol=1.01 / 255, rtol=0)
        assert f"no pixel is missing, since {reason} (--missing)." in images.notes[0]
    assert torch.equal(batch.image, plain.image)


def test_images_without_an_alpha_channel_have_no_missing_pixels():
    """A run of --missing alpha reads such images too, so that they are no error."""
    images = open_images(Source("digits:20", Reading(missing="alpha")))
    text = "no pixel is missing, since no pixel is more than half transparent (--missing)."
    assert any(text in note for note in images.notes)


def test_padding_and_missing_pixels_are_both_missing(tmp_path):
    pixels, masks = make_images()
    data, way = write(tmp_path, masks, pixels=pixels)["masks"]
    mask = read(data, 20, missing=way, aspect="pad")[0].columns[MASK_COLUMN]
    assert (mask[:, :, :4] == 0).all()
    assert (mask[:, :, 16:] == 0).all()
    assert torch.equal(mask[:, 0, 4:16].bool(), torch.from_numpy(masks))


def test_new_images_have_the_mask_of_their_name(tmp_path):
    pixels, masks = make_images()
    for data, way in write(tmp_path, masks, pixels=pixels).values():
        batch, images = read(data, None, 1, missing=way)
        new = data[1] if isinstance(data, np.ndarray) else next((tmp_path / data).rglob("1.*"))
        image, columns = read_batch(new, images.preprocessing)
        assert torch.equal(image[0], batch.image[1])
        assert torch.equal(columns[MASK_COLUMN][0], batch.columns[MASK_COLUMN][1])
        again = read_batch(np.zeros(SHAPE, "u1"), images.preprocessing)
        assert (again.columns[MASK_COLUMN] == 1).all()


def test_new_images_list_the_masks_once(tmp_path, monkeypatch):
    """400 new files with 400 masks took 45 s where each listed the masks anew."""
    pixels, masks = make_images()
    data, way = write(tmp_path, masks, pixels=pixels)["masks"]
    _, images = read(data, None, 1, missing=way)
    listed = []
    monkeypatch.setattr(module, "list_files", lambda path: listed.append(path) or list_files(path))
    read_batch(sorted((tmp_path / "other").rglob("*.png")), images.preprocessing)
    assert listed == [tmp_path / "masks"]


def test_a_mask_of_pages_of_several_sizes_is_refused(tmp_path):
    (tmp_path / "masks").mkdir()
    pages = [Image.fromarray(np.full((side, side), 99, "u1")) for side in (8, 6)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(np.diag([255] * 8).astype("u1")).save(tmp_path / "masks/stack.png")
    with pytest.raises(Error, match=r"stack.tif .*pages of several sizes, which one mask does not"):
        read(str(tmp_path / "stack.tif"), 8, missing=str(tmp_path / "masks"))


def test_changed_masks_are_read_anew(tmp_path):
    pixels, masks = make_images()
    data, way = write(tmp_path, masks, pixels=pixels)["masks"]
    before = read(data, missing=way)[0].columns[MASK_COLUMN]
    Image.fromarray(np.full(SHAPE, 1, "u1")).save(tmp_path / "masks/a/0.tif")
    after = read(data, missing=way)[0].columns[MASK_COLUMN]
    assert (after[0] == 1).all()  # white is the mask's own greatest value
    assert not (before[0] == 1).all()
    assert torch.equal(before[1:], after[1:])


def test_a_run_keeps_the_folder_and_reads_its_images_again(tmp_path, monkeypatch):
    pixels, masks = make_images(24)
    write(tmp_path, masks, pixels=pixels)
    monkeypatch.chdir(tmp_path)
    options = {"size": 8, "latent": 2, "epochs": 1, "progress": False}
    latentia.train("conv_vae", "other", missing="masks", run="run", **options)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = latentia.load(tmp_path / "run")
    batch = run.images.split("test").get_batch(slice(None))
    missing = batch.columns[MASK_COLUMN].expand_as(batch.image) == 0
    found = run.reconstruct(run.images.split("test").keys)
    assert missing.any()
    assert torch.equal(found[missing], batch.image[missing])
    assert run.metadata["options"]["missing"] == str(tmp_path / "masks")


@pytest.mark.parametrize("recipe", ["mnist_gan", "vaegan", "pixel_diffusion", "photo_vae"])
def test_a_model_that_sees_missing_pixels_refuses_them(recipe):
    text = r"cannot leave missing pixels out of its loss; leave out --missing"
    with pytest.raises(Error, match=text):
        latentia.train(recipe, "digits:60", missing="nan", epochs=1, progress=False)


def test_wrong_words_name_what_is_allowed(tmp_path):
    pixels, masks = make_images()
    ways = write(tmp_path, masks, pixels=pixels)
    with pytest.raises(Error, match="--stream reads no --missing pixels"):
        Reading(missing="nan", stream=True)
    with pytest.raises(Error, match=r"--missing .*nam is no folder; give a folder with a mask"):
        read(ways["nan"][0], missing="nam")
    text = "names of image files, and the images of the array have none; give --missing nan, with"
    with pytest.raises(Error, match=text):
        read(ways["array"][0], missing=ways["masks"][1])
    (tmp_path / "masks/a/1.tif").unlink()
    text = r"--missing .*masks has no mask for 1 of 3 images \(a/1.png\); give a folder with"
    with pytest.raises(Error, match=text):
        read(ways["masks"][0], missing=ways["masks"][1])
    with pytest.raises(Error, match=r"NaN or infinity in .*--missing nan if NaN stands"):
        read(ways["array"][0])
    for infinite in (np.inf, -np.inf):
        ways["array"][0][0, 0, 0] = infinite
        with pytest.raises(Error, match="NaN or infinity in 1 value"):
            read(ways["array"][0], missing="nan")
