"""Ranges of values: (x - black) / (white - black) for every type, and notes on dark images."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.reading import Reading

RNG = np.random.default_rng(0)
SIGNED = RNG.integers(-1024, 1501, (4, 6, 8))
SIGNED[0, 0, :2] = -1024, 1500


def read(data, size=None, channels=None, **options):
    images = open_images(Source(data, Reading(validation=0, **options)), size, channels)
    return images.split("all").get_batch(slice(None)).image.numpy()


def get_notes(data, size=None, **options):
    return open_images(Source(data, Reading(validation=0, **options)), size).notes


def save_files(folder, arrays, suffix="png"):
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number}.{suffix}")
    return str(folder)


@pytest.mark.parametrize(
    "dtype", ["i2", "i4", "i8", "f2", "f4", "f8", torch.int16, torch.int64, torch.float32]
)
def test_a_stated_range_of_arrays_is_exact_at_both_ends(dtype):
    is_torch = isinstance(dtype, torch.dtype)
    array = torch.from_numpy(SIGNED).to(dtype) if is_torch else SIGNED.astype(dtype)
    found = read(array, black=-1024, white=1500)[:, 0]
    assert (found[0, 0, 0], found[0, 0, 1]) == (0, 1)
    values = np.asarray(array).astype(np.float64)
    np.testing.assert_allclose(found, (values + 1024) / 2524, atol=1e-7, rtol=0)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "u4", "u8"])
def test_a_stated_white_of_arrays_is_exact(dtype):
    array = RNG.integers(0, 61, (4, 6, 8)).astype(dtype)
    np.testing.assert_array_equal(read(array, white=60)[:, 0], (array / 60).astype(np.float32))


def test_signed_values_equal_the_same_values_shifted():
    shifted = (SIGNED + 1024).astype(np.uint16)
    signed = read(SIGNED.astype(np.int16), black=-1024, white=1500)
    np.testing.assert_array_equal(signed, read(shifted, white=2524))


def test_the_full_scale_stated_changes_no_bit(tmp_path):
    bytes_, deep = (RNG.integers(0, 2 ** (8 * k), (3, 9, 7)).astype(f"u{k}") for k in (1, 2))
    for array, white in ((bytes_, 255), (deep, 65535)):
        folder = tmp_path / str(white)
        folder.mkdir()
        for data in (array, save_files(folder, array)):
            for size in (None, 5):
                np.testing.assert_array_equal(read(data, size, white=white), read(data, size))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_8_bit_files_obey_white(tmp_path, suffix):
    masks = RNG.integers(0, 2, (3, 9, 7)).astype(np.uint8)
    folder = save_files(tmp_path, masks, suffix)
    np.testing.assert_array_equal(read(folder, white=1)[:, 0], masks)
    np.testing.assert_array_equal(read(folder, channels=3, white=1)[:, 2], masks)
    np.testing.assert_allclose(
        read(folder, black=-1, white=4)[:, 0], (masks + 1) / 5, atol=1e-7, rtol=0
    )
    small = read(folder, 4, white=1)  # scaled before the resize, so that edges are smooth
    assert len(np.unique(small)) > 2
    assert small.min() >= 0
    assert small.max() <= 1


def test_colour_of_8_bits_obeys_white_before_it_becomes_grey(tmp_path):
    colors = RNG.integers(0, 2, (2, 6, 8, 3)).astype(np.uint8)
    luma = colors @ np.array([0.299, 0.587, 0.114])
    found = read(save_files(tmp_path, colors), channels=1, white=1)[:, 0]
    np.testing.assert_allclose(found, luma, atol=1e-6)
    np.testing.assert_allclose(read(colors, channels=1, white=1)[:, 0], luma, atol=1e-6)


def test_bilevel_and_booleans_need_no_range(tmp_path):
    bits = RNG.random((3, 6, 8)) > 0.5
    for data in (bits, save_files(tmp_path, bits)):
        np.testing.assert_array_equal(read(data, white=1)[:, 0], bits)
        np.testing.assert_array_equal(read(data)[:, 0], bits)
        assert get_notes(data) == []


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4"])
def test_signed_tiffs_obey_black_and_white(tmp_path, dtype):
    from tifffile import imwrite

    for number, array in enumerate(SIGNED.astype(dtype)):
        imwrite(tmp_path / f"{number}.tif", array)
    found = read(str(tmp_path), black=-1024, white=1500)[:, 0]
    assert (found[0, 0, 0], found[0, 0, 1]) == (0, 1)
    np.testing.assert_allclose(found, (SIGNED + 1024) / 2524, atol=1e-7, rtol=0)
    with pytest.raises(Error, match=r"for instance --black -1024 --white 1500\.$"):
        read(str(tmp_path))


def test_values_without_a_range_are_refused_with_theirs(tmp_path):
    long = np.zeros((5000, 2, 2), np.int16)
    long[0, 0, 0], long[4999, 1, 1] = 1500, -1024  # in two chunks
    np.save(tmp_path / "a.npy", long)
    for data in (long, torch.from_numpy(long), str(tmp_path / "a.npy"), list(long[[0, 4999]])):
        with pytest.raises(Error) as error:
            read(data)
        assert "1500" in str(error.value)
        assert "--black" in str(error.value) or isinstance(data, list)
        assert "astype" not in str(error.value)
    with pytest.raises(Error, match="int16 from -1024 to 1500; int16 has no white of its own"):
        read(long)


def test_values_beyond_the_stated_range_are_refused_with_the_first_image():
    array = np.zeros((3, 2, 2), np.uint8)
    array[2, 0, 0] = 7
    with pytest.raises(Error) as error:
        read(array, white=1)
    assert str(error.value) == (
        "the array holds uint8 from 0 to 7; allowed are 0 to 1, and image 2 is the first outside:"
        " give the values that mean 0 and 1, for instance --white 7."
    )


def test_the_range_in_a_refusal_is_that_of_all_files(tmp_path):
    levels = (np.full((2, 2), level, np.float32) for level in (0.5, -3, 90, -1))
    with pytest.raises(Error) as error:
        read(save_files(tmp_path, levels, "tif"))
    assert str(error.value) == (
        f"{tmp_path}/ holds 3 of 4 images outside the range of values, 1.tif (values from -3 to -3,"
        " allowed 0 to 1), 2.tif (values from 90 to 90, allowed 0 to 1), 3.tif (values from -1 to"
        " -1, allowed 0 to 1): give the values that mean 0 and 1, for instance --black -3 --white"
        " 90."
    )
    read(str(tmp_path), black=-3, white=90)


@pytest.mark.parametrize(
    ("dtype", "greatest", "text"),
    [
        ("u1", 1, "1 of 255; --white 1 makes 1 white."),
        ("u1", 9, "9 of 255; --white 9 makes 9 white."),
        ("u2", 1, "1 of 65,535; --white 1 makes 1 white."),
        ("u2", 200, "200 of 65,535; --white 255 makes 255 white."),
        ("u2", 1023, "1,023 of 65,535; --white 1023 makes 1023 white."),
        ("u2", 3800, "3,800 of 65,535; --white 4095 makes 4095 white."),
        ("u2", 16383, "16,383 of 65,535; --white 16383 makes 16383 white."),
        ("f4", 1 / 255, "0.003921569 of 1; --white 0.003921569 makes 0.003921569 white."),
    ],
)
@pytest.mark.parametrize("size", [None, "18x14"])
def test_dark_images_are_noted_with_the_white_that_was_meant(tmp_path, dtype, greatest, text, size):
    array = (RNG.random((3, 9, 7)) * greatest).astype(dtype)
    array[1, 2:5, 2:5] = greatest
    for data in (array, save_files(tmp_path, array, "png" if dtype[0] == "u" else "tif")):
        (note,) = get_notes(data, size)
        assert f": the images are dark, since their greatest value is {text}" in note
        white = float(note.partition("--white ")[2].split()[0])
        assert get_notes(data, size, white=white) == []  # the option is enough


def test_signed_values_of_16_bits_are_noted_with_their_white(tmp_path):
    """Beside the unsigned ones they reach half of the scale, whatever they are."""
    array = RNG.integers(0, 32768, (3, 9, 7)).astype(np.int16)
    for number, plane in enumerate(array):
        tifffile.imwrite(tmp_path / f"{number}.tif", plane)
    (note,) = get_notes(str(tmp_path))
    assert note.endswith("of 65,535; --white 32767 makes 32767 white.")
    assert get_notes(str(tmp_path), white=32767) == []
    tifffile.imwrite(tmp_path / "3.tif", array[0].astype(np.uint16))
    assert get_notes(str(tmp_path)) == []  # these reach what they reach


@pytest.mark.parametrize(("dtype", "white"), [("u2", 4095), ("u2", 255), ("i2", 4095)])
def test_a_hot_pixel_does_not_hide_that_images_are_dark(tmp_path, dtype, white):
    array = RNG.integers(0, white + 1, (3, 50, 70)).astype(dtype)
    array[1, 2, 3] = np.iinfo(dtype).max
    save_files(tmp_path, array, "tif")
    (note,) = get_notes(str(tmp_path))
    text = f"all but 1 of 10,500 values are at most {white:,} of 65,535; --white {white} names"
    assert text in note
    with pytest.raises(Error, match=r"holds 1 of 3 images outside .* 1\.tif"):
        read(str(tmp_path), white=white)
    array[1, 2:4, 3] = np.iinfo(dtype).max  # 2 in 10,500: part of the picture
    save_files(tmp_path, array, "tif")
    assert not any("dark" in note for note in get_notes(str(tmp_path))) or dtype == "i2"


@pytest.mark.parametrize(
    ("dtype", "greatest"),
    [("u1", 255), ("u1", 60), ("u1", 0), ("u2", 65000), ("u2", 30000), ("f4", 1), ("f4", 0.3)],
)
def test_other_images_are_not_noted(tmp_path, dtype, greatest):
    array = (RNG.random((3, 9, 7)) * greatest).astype(dtype)
    array[1, 2, 3] = greatest
    for data in (array, save_files(tmp_path, array, "png" if dtype[0] == "u" else "tif")):
        assert get_notes(data) == []


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (np.uint16([30000, 31000]), "--black 30000 --white 31000"),
        (np.float32([0.5, 0.53125]), "--black 0.5 --white 0.53125"),
    ],
)
def test_images_without_contrast_are_noted_with_their_range(tmp_path, values, options):
    array = RNG.choice(values, (3, 9, 7))
    for data in (array, save_files(tmp_path, array, "tif")):
        (note,) = get_notes(data)
        assert ": the images have little contrast, since their values are from " in note
        assert f"; {options} gives them all of it." in note
        black, white = (float(word) for word in options.split()[1::2])
        assert set(np.unique(read(data, black=black, white=white))) == {0, 1}
        assert get_notes(data, black=black, white=white) == []


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (np.int64([0, 254]), "--white 255"),
        (np.int32([3, 4000]), "--white 4095"),
        (np.float64([0.3, 254.887]), "--white 255"),
        (np.float32([-0.997, 0.9991]), "--black -1 --white 1"),
        (np.float64([0, 16]), "--white 16"),
        (np.int16([-1000, 3000]), "--black -1000 --white 3000"),
    ],
)
def test_the_range_that_was_probably_meant_is_suggested(values, options):
    array = np.resize(values, (2, 4, 6))
    with pytest.raises(Error, match=f"for instance {options}\\.$"):
        read(array)
    numbers = [float(word) for word in options.split()[1::2]]
    read(array, white=numbers[-1], black=numbers[0] if len(numbers) > 1 else None)


def test_the_order_of_bytes_is_no_type_of_its_own(tmp_path):
    array = RNG.integers(0, 65536, (3, 6, 8)).astype(">u2")
    np.save(tmp_path / "a.npy", array)
    for data in (array, str(tmp_path / "a.npy")):
        np.testing.assert_array_equal(read(data), read(array.astype("<u2")))


def test_digits_and_synthetic_images_are_not_noted():
    for source in ("digits:20", "sprites:20", "vehicles:20", "speckle:20"):
        assert not any("greatest" in note for note in get_notes(source))


def test_a_white_above_8_bits_is_for_deeper_images(tmp_path):
    """A camera of 12 bits beside 8-bit pictures: each keeps its scale."""
    Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / "a.png")
    assert get_notes(str(tmp_path), white=4095) == [
        f"{tmp_path}/: images of 8 bits keep 255 as white; --white 4095 is for more bits."
    ]
    Image.fromarray(np.full((4, 4), 4095, np.uint16)).save(tmp_path / "b.png")
    np.testing.assert_allclose(read(str(tmp_path), white=4095)[:, 0, 0, 0], [0.2, 1])
    (note,) = get_notes(str(tmp_path))
    assert "4,095 of 65,535; --white 4095" in note


def test_new_images_are_scaled_as_those_of_the_run(tmp_path):
    masks = RNG.integers(0, 2, (3, 6, 8)).astype(np.uint8)
    images = open_images(Source(masks, Reading(white=1)))
    path = tmp_path / "0.png"
    save_files(tmp_path, masks)
    again = type(images).from_metadata(images.to_metadata())
    for data in (masks, torch.from_numpy(masks), Image.fromarray(masks[0]), path, list(masks)):
        found = again.preprocess(data).numpy()[:, 0]
        np.testing.assert_array_equal(found, masks[: len(found)])
    signed = open_images(Source(SIGNED, Reading(black=-1024, white=1500)))
    again = type(signed).from_metadata(signed.to_metadata())
    np.testing.assert_array_equal(
        again.preprocess(SIGNED).numpy(), read(SIGNED, None, None, black=-1024, white=1500)
    )


def test_parts_of_different_types_share_a_scale(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.full((2, 4, 4), 51, "u1"), x_test=np.ones((2, 4, 4)))
    np.testing.assert_allclose(read(str(tmp_path / "a.npz"))[:, 0, 0, 0], [0.2, 0.2, 1, 1])


def test_the_range_of_an_error_is_that_of_all_pages(tmp_path):
    pages = np.stack([np.full((8, 8), level, np.uint16) for level in (110, 330, 375, 90)])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    with pytest.raises(Error, match=r"values from 90 to 375, .* for instance --white 375"):
        open_images(Source(str(tmp_path), Reading(white=300, black=100))).split("train")


def test_dark_images_of_more_bits_are_named_among_others(tmp_path):
    for k in range(3):
        Image.fromarray(np.full((8, 8), 80 * k + 60, np.uint8)).save(tmp_path / f"{k}.png")
    Image.fromarray(np.full((8, 8), 200, np.uint16)).save(tmp_path / "deep.png")
    (note,) = [note for note in open_images(str(tmp_path)).notes if "greatest value" in note]
    assert "the images of more than 8 bits are dark, since their greatest value is 200" in note
