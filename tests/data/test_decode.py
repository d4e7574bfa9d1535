"""Every kind of file that real folders hold is read as a person would see it."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.reading import Reading

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 8), dtype=np.uint16)


def opened(tmp_path, image, name="a.png", source=None, channels=None, size=None, **how):
    """The pixels of a folder that holds this image alone, as float32 (c, h, w)."""
    folder = tmp_path / "one"
    folder.mkdir()
    image.save(folder / name, **how)
    images = open_images(Source(str(folder), Reading(**(source or {}))), size, channels)
    split = images.split("train")
    assert split.keys == [name]
    return split.get_batch(slice(None)).image[0].numpy()


def test_grey_is_read_to_the_bit(tmp_path):
    np.testing.assert_array_equal(
        opened(tmp_path, Image.fromarray(GREY))[0], GREY.astype(np.float32) / 255
    )


def test_colour_is_read_to_the_bit(tmp_path):
    expected = COLOUR.transpose(2, 0, 1).astype(np.float32) / 255
    np.testing.assert_array_equal(opened(tmp_path, Image.fromarray(COLOUR)), expected)


def test_colour_to_grey_is_the_luma(tmp_path):
    found = opened(tmp_path, Image.fromarray(COLOUR), channels=1)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(found[0], luma, atol=0.51 / 255)


def test_grey_to_colour_repeats(tmp_path):
    found = opened(tmp_path, Image.fromarray(GREY), channels=3)
    np.testing.assert_array_equal(found, np.repeat(GREY[None].astype(np.float32) / 255, 3, 0))


def test_bilevel_is_black_and_white(tmp_path):
    found = opened(tmp_path, Image.fromarray(GREY > 127))
    np.testing.assert_array_equal(found[0], (GREY > 127).astype(np.float32))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_keeps_every_level(tmp_path, suffix):
    """Pillow's convert("L") clips at 255: a 16-bit image would come out white."""
    found = opened(tmp_path, Image.fromarray(DEEP), f"a.{suffix}")
    np.testing.assert_allclose(found[0], DEEP / 65535, atol=1e-7)


def test_16_bit_scaled_by_its_white(tmp_path):
    found = opened(tmp_path, Image.fromarray(DEEP // 16), source={"white": 4095.0})
    np.testing.assert_allclose(found[0], (DEEP // 16) / 4095, atol=1e-7)


def test_16_bit_beyond_its_white_is_refused(tmp_path):
    bright = np.full((4, 4), 5000, np.uint16)
    with pytest.raises(Error, match=r"a.png \(values from 5000 to 5000, allowed 0 to 4095"):
        opened(tmp_path, Image.fromarray(bright), source={"white": 4095.0})


def test_16_bit_survives_a_resize_unclipped(tmp_path):
    found = opened(tmp_path, Image.fromarray(np.full((9, 9), 32768, np.uint16)), size=4)
    np.testing.assert_allclose(found, 32768 / 65535, atol=1e-6)


def test_32_bit_integers_are_scaled_as_16_bit(tmp_path):
    found = opened(tmp_path, Image.fromarray(DEEP.astype(np.int32)), "a.tif")
    np.testing.assert_allclose(found[0], DEEP / 65535, atol=1e-7)


def test_float_tiff_in_the_unit_interval(tmp_path):
    values = RNG.random((6, 8), np.float32)
    found = opened(tmp_path, Image.fromarray(values), "a.tif")
    np.testing.assert_allclose(found[0], values, atol=1e-7)


def test_float_tiff_scaled_by_white(tmp_path):
    values = RNG.random((6, 8), np.float32) * 40
    found = opened(tmp_path, Image.fromarray(values), "a.tif", source={"white": 40.0})
    np.testing.assert_allclose(found[0], values / 40, atol=1e-6)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (-0.5, r"\): give the values that mean 0 and 1, for instance --black -0.5 --white 0.5\."),
        (1.5, r"\): give the values that mean 0 and 1, for instance --white 1.5\."),
        (200.0, r"\): give the values that mean 0 and 1, for instance --white 200\."),
    ],
)
def test_float_tiff_out_of_range_is_refused(tmp_path, value, advice):
    values = np.array([[0.0, value], [0.5, 0.25]], np.float32)
    with pytest.raises(Error, match=rf"a.tif \(values from .* to .*, allowed 0 to 1{advice}"):
        opened(tmp_path, Image.fromarray(values), "a.tif")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_tiff_that_is_not_finite_is_refused(tmp_path, value):
    values = np.array([[0.0, value], [0.5, 0.25]], np.float32)
    text = r"a.tif \(NaN or infinity among its values\)\. Repair"
    with pytest.raises(Error, match=text):
        opened(tmp_path, Image.fromarray(values), "a.tif")


def test_palette_is_looked_up(tmp_path):
    palette = Image.fromarray(COLOUR).quantize(8)
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_array_equal(opened(tmp_path, palette), expected)


@pytest.mark.parametrize("background", [1.0, 0.0, 0.5])
def test_transparent_pixels_show_the_background(tmp_path, background):
    """Composited, not dropped: what lies under full transparency must not appear."""
    colours = np.dstack([COLOUR, np.zeros((6, 8), np.uint8)])
    colours[0, 0, 3] = 255
    found = opened(tmp_path, Image.fromarray(colours), source={"background": background})
    np.testing.assert_array_equal(found[:, 0, 0], COLOUR[0, 0].astype(np.float32) / 255)
    np.testing.assert_allclose(found[:, 1:, 1:], round(background * 255) / 255)


def test_half_transparent_is_half_way(tmp_path):
    half = np.dstack([np.zeros((6, 8), np.uint8), np.full((6, 8), 128, np.uint8)])
    found = opened(tmp_path, Image.fromarray(half))
    assert found.shape == (1, 6, 8)
    np.testing.assert_allclose(found, 127 / 255, atol=1 / 255)


def test_palette_with_a_transparent_colour(tmp_path):
    flat = Image.new("P", (4, 4), 1)
    flat.putpalette([0, 0, 0, 10, 20, 30])
    flat.putpixel((0, 0), 0)
    found = opened(tmp_path, flat, transparency=0)
    np.testing.assert_allclose(found[:, 0, 0], 1.0)
    np.testing.assert_allclose(found[:, 1, 1] * 255, [10, 20, 30], atol=1e-4)


def test_cmyk_is_read_as_colour(tmp_path):
    found = opened(tmp_path, Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "a.tif")
    np.testing.assert_allclose(found[:, 0, 0], [1, 0, 0], atol=1e-6)


def test_ycbcr_is_read_as_colour(tmp_path):
    found = opened(tmp_path, Image.new("RGB", (4, 4), (255, 0, 0)).convert("YCbCr"), "a.tif")
    np.testing.assert_allclose(found[:, 0, 0], [1, 0, 0], atol=2 / 255)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation_is_applied_to_pixels_and_shape(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees
    left_black = np.repeat(np.array([0, 255], np.uint8), 8)[None].repeat(8, 0)
    found = opened(tmp_path, Image.fromarray(left_black), f"a.{suffix}", exif=exif)
    assert found.shape == (1, 16, 8)
    assert found[0, :6].mean() < 0.1
    assert found[0, 10:].mean() > 0.9


def test_exif_behind_the_pixels_of_a_png_is_named_not_stretched(tmp_path):
    """An eXIf block may follow the pixels; the header alone then tells the wrong shape."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = BytesIO()
    Image.fromarray(GREY).save(data, "PNG", exif=exif)
    raw = data.getvalue()
    at = raw.index(b"eXIf") - 4
    length = int.from_bytes(raw[at : at + 4], "big") + 12
    end = raw.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(
        raw[:at] + raw[at + length : end] + raw[at : at + length] + raw[end:]
    )
    with pytest.raises(Error, match=r"a.png \(its EXIF orientation stands after its pixels"):
        open_images(str(tmp_path)).split("train")


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (20, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    images = open_images(str(tmp_path))
    np.testing.assert_allclose(images.split("train").get_batch(slice(None)).image, 20 / 255)
    assert images.notes == [f"{tmp_path}/: a.gif: is animated: its first frame is used."]


def test_a_tiff_of_many_pages_is_as_many_images(tmp_path):
    levels = [np.full((4, 4), level, np.uint8) for level in (10, 20, 30)]
    pages = [Image.fromarray(level) for level in levels]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(levels[0]).save(tmp_path / "a.png")
    images = open_images(Source(str(tmp_path), Reading(validation=0)))
    split = images.split("train")
    assert split.keys == ["a.png", "stack.tif#0", "stack.tif#1", "stack.tif#2"]
    means = split.get_batch(slice(None)).image.mean((1, 2, 3)) * 255
    np.testing.assert_allclose(means, [10, 10, 20, 30], atol=1e-4)
    assert open_images(str(tmp_path / "stack.tif")).split("train").keys == split.keys[1:]


def test_one_pixel_is_an_image(tmp_path):
    assert opened(tmp_path, Image.fromarray(GREY[:1, :1])).shape == (1, 1, 1)


@pytest.mark.parametrize("form", ["P6", "P3"])
def test_16_bit_colour_of_a_pnm_says_what_is_lost(form, tmp_path):
    """Pillow rounds it to 8 bits; the file is used, and the loss is named."""
    write_rgb48(tmp_path / "b.png", np.full((2, 2, 3), 0x8001, np.uint16))
    body = bytes([0x80, 1] * 12) if form == "P6" else b"32769 " * 12
    (tmp_path / "c.ppm").write_bytes(form.encode() + b" 2 2 65535\n" + body)
    images = open_images(Source(str(tmp_path), Reading(validation=0)))
    np.testing.assert_allclose(images.split("all")[:][1], 0x80 / 255)
    (note,) = images.notes
    assert "c.ppm: is 16-bit colour, of which Pillow reads the upper 8 bits." in note
    with pytest.raises(Error, match=r"1 unreadable of 2 .*, to which --white cannot be applied"):
        open_images(Source(str(tmp_path), Reading(white=65535))).split("train")


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_of_a_png_keeps_every_level(channels, tmp_path):
    levels = np.random.default_rng(0).integers(0, 65536, (6, 8, channels)).astype(np.uint16)
    write_rgb48(tmp_path / "a.png", levels)
    planes = levels.transpose(2, 0, 1) / 65535
    alpha = planes[3] if channels == 4 else 1
    images = open_images(Source(str(tmp_path), Reading(validation=0, background=0.25)))
    expected = planes[:3] * alpha + 0.25 * (1 - alpha)
    np.testing.assert_allclose(images.split("all")[:][0], expected, atol=1e-6)
    assert images.notes == []
    with Image.open(tmp_path / "a.png") as opened_image:
        for image in (tmp_path / "a.png", opened_image):
            np.testing.assert_allclose(images.preprocess(image)[0], expected, atol=1e-6)
    dark = tmp_path / "dark"
    dark.mkdir()
    write_rgb48(dark / "a.png", levels[..., :3] >> 4)
    pixels = open_images(Source(str(dark), Reading(validation=0, white=4095))).split("all")[:]
    np.testing.assert_allclose(pixels[0] * 4095, (levels[..., :3] >> 4).transpose(2, 0, 1), atol=1)


def write_rgb48(path, values):
    import struct
    import zlib

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    height, width, samples = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[samples], 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_deep_and_8_bit_files_share_a_scale(tmp_path):
    Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((4, 4), 51 * 257, np.uint16)).save(tmp_path / "b.png")
    found = (
        open_images(Source(str(tmp_path), Reading(validation=0)))
        .split("train")
        .get_batch(slice(None))
    )
    np.testing.assert_allclose(found.image, 0.2, atol=1e-6)
