"""Pages, samples and formats of files are read as their owner means them, or one sentence says why.

tifffile and Pillow check each other: what both read must be equal.
"""

import os
import sys
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiff_writer import write_tiff

import latentia
from latentia.core.errors import Error
from latentia.data import Images, Source, open_images
from latentia.data.reading import Reading

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 65536, (5, 8, 9), dtype=np.uint16)
SAMPLES = RNG.integers(0, 256, (8, 9, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 65536, (8, 9, 3), dtype=np.uint16)


def save_stack(path, planes):
    first, *others = map(Image.fromarray, planes)
    first.save(path, save_all=True, append_images=others)


def read(path, **options):
    images = open_images(Source(str(path), Reading(validation=0, **options)))
    return images, images.split("all")[:].numpy()


def test_pages_are_images_channels_or_only_the_first(tmp_path):
    for k in range(3):
        save_stack(tmp_path / f"{k}.tif", STACK + k)
    images, pixels = read(tmp_path)
    assert pixels.shape == (15, 1, 8, 9)
    (note,) = [note for note in images.notes if "every page" in note]
    assert "3 files of 5 pages: every page is read as an image; --pages channels makes" in note
    assert "--pages first reads the first" in note

    images, pixels = read(tmp_path, pages="channels")
    assert images.split("all").keys == ["0.tif", "1.tif", "2.tif"]
    np.testing.assert_allclose(pixels[0], STACK / 65535, atol=1e-6)
    assert "3 files of 5 pages: these are the 5 channels of one image." in images.notes[0]
    np.testing.assert_array_equal(
        Images.from_metadata(images.to_metadata()).preprocess(str(tmp_path / "1.tif")), pixels[1:2]
    )

    images, pixels = read(tmp_path, pages="first")
    np.testing.assert_allclose(
        pixels[:, 0], (STACK[[0, 0, 0]] + [[[0]], [[1]], [[2]]]) / 65535, atol=1e-4
    )
    assert not images.notes
    again = Images.from_metadata(images.to_metadata())
    assert len(again.preprocess(str(tmp_path / "1.tif"))) == 1


def test_one_file_as_data_is_read_with_the_options_of_reading(tmp_path):
    pages = [Image.fromarray(np.full((8, 8), value, np.uint16)) for value in (0, 100, 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    options = Reading(pages="channels", white=200)
    image = open_images(Source(str(tmp_path / "a.tif"), options)).split("all")[:]
    assert image.mean((2, 3)).tolist() == [[0, 0.5, 1]]


def test_kinds_of_files_are_counted_and_pages_that_differ_cannot_be_channels(tmp_path):
    for name, count in (("a", 5), ("b", 3), ("c", 5), ("d", 1)):
        save_stack(tmp_path / f"{name}.tif", STACK[:count])
    images, pixels = read(tmp_path)
    assert len(pixels) == 14
    assert "1 file of 3 pages, 2 files of 5 pages: every page" in images.notes[0]
    with pytest.raises(Error, match=r"1 or 3 or 5 channels: 1 in d\.tif, 3 in b\.tif, 5 in a\.tif"):
        read(tmp_path, pages="channels")
    (tmp_path / "a.tif").unlink()
    (tmp_path / "c.tif").unlink()
    with pytest.raises(Error, match=r"1 or 3 channels: 1 in d\.tif, 3 in b\.tif"):
        read(tmp_path, pages="channels")
    save_stack(tmp_path / "d.tif", [STACK[0], STACK[0, 1:], STACK[0]])
    with pytest.raises(Error, match=r"d\.tif \(pages of 7x9 and 8x9, which cannot be channels"):
        read(tmp_path, pages="channels")


def test_pages_of_8_and_16_bits_share_a_scale_as_channels(tmp_path):
    pages = [np.full((4, 4), 51, np.uint8), np.full((4, 4), 51 * 257, np.uint16)]
    save_stack(tmp_path / "a.tif", pages)
    np.testing.assert_allclose(read(tmp_path, pages="channels")[1], 0.2, atol=1e-6)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
@pytest.mark.parametrize("count", [4, 5, 6])
def test_many_samples_are_channels(count, photometric, planar, tmp_path):
    if (count, photometric) == (4, "rgb"):
        pytest.skip("colour with opacity")
    array = SAMPLES[..., :count] if planar == "contig" else SAMPLES.transpose(2, 0, 1)[:count]
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=photometric, planarconfig=planar)
    images, pixels = read(tmp_path)
    assert images.shape == (count, 8, 9)
    np.testing.assert_array_equal(
        pixels[0], SAMPLES[..., :count].transpose(2, 0, 1) / np.float32(255)
    )
    with pytest.raises(Error, match=f"which have {count} channels, not 1; .* such as conv_vae"):
        open_images(str(tmp_path), channels=1).split("all")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_of_16_bits_keeps_them_in_a_tiff(order, compression, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOUR, photometric="rgb", byteorder=order, compression=compression)
    images, pixels = read(tmp_path)
    np.testing.assert_allclose(pixels[0], COLOUR.transpose(2, 0, 1) / 65535, atol=1e-6)
    assert not images.notes
    grey = open_images(str(tmp_path), channels=1).split("all")[:][0, 0]
    np.testing.assert_allclose(grey, COLOUR @ [0.299, 0.587, 0.114] / 65535, atol=1e-5)
    small = open_images(str(tmp_path), size=4)
    assert small.shape == (3, 4, 4)
    assert 0 <= small.split("all")[:].min() <= small.split("all")[:].max() <= 1


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        *((3, {}), (4, {"extra": 0}), (4, {"extra": 1}), (4, {"extra": 2}), (2, {"extra": 2})),
        *((3, {"planar": 2}), (4, {"planar": 2, "extra": 2})),
    ],
)
@pytest.mark.parametrize("compression", [1, 5, 8])
@pytest.mark.parametrize("order", "<>")
def test_16_bits_of_colour_and_opacity_are_all_read(order, compression, samples, options, tmp_path):
    """Opacity: 0 is none, 1 has multiplied the colours, 2 has not."""
    array = RNG.integers(0, 65536, (8, 9, samples)).astype(np.uint16)
    write_tiff(tmp_path / "a.tif", array, compression, order, **options)
    if compression == 5 and (samples == 2 or "planar" in options):
        with pytest.raises(Error, match=r"a\.tif \(.*LZW.* requires the 'imagecodecs' package"):
            read(tmp_path)
        return
    planes = array.transpose(2, 0, 1) / 65535
    opacity = options.get("extra", 0)
    if samples in (2, 4):
        planes, alpha = planes[:-1], planes[-1]
        over = {0: planes, 1: planes + 1 - alpha, 2: planes * alpha + 1 - alpha}
        planes = over[opacity].clip(0, 1)
    images, pixels = read(tmp_path)
    np.testing.assert_allclose(pixels[0], planes, atol=1e-6)
    assert images.notes == []


@pytest.mark.parametrize("kind", [1, 4])
def test_smaller_copies_and_masks_of_a_page_are_no_images(kind, tmp_path):
    for k in range(3):
        with tifffile.TiffWriter(tmp_path / f"{k}.tif") as file:
            file.write(SAMPLES[..., :3], photometric="rgb")
            other = SAMPLES[::2, ::2, :3] if kind == 1 else SAMPLES[..., 0] > 127
            photometric = "rgb" if kind == 1 else "minisblack"
            file.write(other, subfiletype=kind, photometric=photometric)
    for pages in ("images", "channels"):
        images, pixels = read(tmp_path, pages=pages)
        assert pixels.shape == (3, 3, 8, 9)
        assert images.notes == []


def test_a_later_page_of_unusual_samples_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(SAMPLES[..., 0], photometric="minisblack")
        file.write(SAMPLES, photometric="minisblack", planarconfig="contig")
    expected = SAMPLES[..., [0, *range(6)]].transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_array_equal(read(tmp_path, pages="channels")[1][0], expected)
    assert read(tmp_path, pages="first")[1].shape == (1, 1, 8, 9)


def test_compressed_colour_of_16_bits_without_imagecodecs_says_what_is_lost(tmp_path):
    image = Image.new("RGB", (9, 8), (255, 128, 0))
    image.save(tmp_path / "a.tif", compression="tiff_lzw")
    assert read(tmp_path)[1].shape == (1, 3, 8, 9)  # 8 bits: Pillow reads it


@pytest.mark.parametrize("dtype", [np.uint32, np.float16, np.float64])
def test_other_types_of_samples(dtype, tmp_path):
    top = 1 if np.dtype(dtype).kind == "f" else 65535
    values = (STACK[0] / 65535 * top).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.testing.assert_allclose(read(tmp_path)[1][0, 0], values / top, atol=1e-6)


def test_white_is_zero_is_inverted_at_any_depth(tmp_path):
    for name, values in (("a", SAMPLES[..., 0]), ("b", STACK[0])):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", values, photometric="miniswhite")
        top = np.iinfo(values.dtype).max
        np.testing.assert_allclose(read(tmp_path / name)[1][0, 0], 1 - values / top, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(orientation, tmp_path):
    tag = [(0x0112, "H", 1, orientation, True)]
    (tmp_path / "eight").mkdir()
    (tmp_path / "deep").mkdir()
    eight = SAMPLES[..., :3]
    tifffile.imwrite(tmp_path / "eight/a.tif", eight, photometric="rgb", extratags=tag)
    deep = eight.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "deep/a.tif", deep, photometric="rgb", extratags=tag)
    pixels = read(tmp_path / "deep")[1]
    np.testing.assert_allclose(pixels, read(tmp_path / "eight")[1], atol=1e-6)


def test_five_channels_train_and_a_new_file_is_read_as_they_are(tmp_path):
    (tmp_path / "f").mkdir()
    for k in range(24):
        save_stack(tmp_path / f"f/{k}.tif", RNG.integers(0, 65536, (5, 16, 16), dtype=np.uint16))
    options = latentia.Options(pages="channels", threads=1)
    run = latentia.train(
        "conv_vae",
        str(tmp_path / "f"),
        epochs=1,
        latent=2,
        run=tmp_path / "r",
        options=options,
        progress=False,
    )
    assert run.metadata["images"]["shape"] == [5, 16, 16]
    assert run.preprocess(str(tmp_path / "f/0.tif")).shape == (1, 5, 16, 16)
    run.reconstruct(str(tmp_path / "f/0.tif"))
    Image.new("L", (16, 16)).save(tmp_path / "grey.png")
    with pytest.raises(Error, match=r"grey\.png \(an image in grey or colour, but 5 channels were"):
        run.preprocess(str(tmp_path / "grey.png"))


def test_pages_of_a_cell_of_a_table(tmp_path):
    import pandas as pd

    save_stack(tmp_path / "a.tif", STACK)
    cells = [{"bytes": (tmp_path / "a.tif").read_bytes(), "path": None}] * 3
    pd.DataFrame({"image": cells}).to_parquet(tmp_path / "t.parquet")
    images, pixels = read(tmp_path / "t.parquet")
    assert pixels.shape == (3, 1, 8, 9)
    assert "has 5 pages: the first is read" in images.notes[0]
    assert read(tmp_path / "t.parquet", pages="channels")[1].shape == (3, 5, 8, 9)


def test_images_beyond_the_limit_of_pixels_need_a_flag(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    Image.fromarray(SAMPLES[..., 0]).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", SAMPLES[..., 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            Error, match=r"b\.tif \(8x9 are 72 pixels, more than 60; .*--max-pixels 72"
        ):
            read(tmp_path)
        images, pixels = read(tmp_path, max_pixels=72)
        assert pixels.shape == (2, 1, 8, 9)
        again = Images.from_metadata(images.to_metadata())
        assert again.preprocess(str(tmp_path / "a.png")).shape == (1, 1, 8, 9)
    assert Image.MAX_IMAGE_PIXELS == 60
    with pytest.raises(Error, match="more than 71"):
        read(tmp_path, max_pixels=71)


def test_avif_is_read(tmp_path):
    Image.new("RGB", (16, 16), (250, 0, 0)).save(tmp_path / "a.avif")
    np.testing.assert_allclose(read(tmp_path)[1][0, :, 8, 8], [1, 0, 0], atol=0.05)


@pytest.mark.parametrize("suffix", ["heic", "HEIF"])
def test_heic_is_read_by_an_extra_that_is_named_where_it_lacks(suffix, tmp_path, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 64), (250, 0, 0))
    pillow_heif.from_pillow(image).save(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(read(tmp_path)[1][0, :, 8, 8], [1, 0, 0], atol=0.05)
    assert "HEIF" not in Image.OPEN  # Pillow of the user's process is as it was
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "c.png").symlink_to(tmp_path / "b.png")
    with pytest.raises(Error, match=r'HEIC, which needs `pip install "latentia\[heic\]"`'):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        *(
            (f"a{end}", "export the images of")
            for end in (".dcm", ".nii", ".nii.gz", ".czi", ".nd2")
        ),
        *((f"a{end}", "export the images of") for end in (".lif", ".SVS", ".raw")),
        *((f"a{end}", "save the images of") for end in (".h5", ".mat")),
        *((f"a{end}", "unpack") for end in (".zip", ".tar", ".tar.gz")),
        ("a.mp4", "save the frames of"),
    ],
)
def test_formats_that_are_not_read_are_named_with_what_to_do(name, advice, tmp_path):
    tifffile.imwrite(tmp_path / name, STACK[0])  # whatever it holds
    with pytest.raises(Error, match=f"{name} is of a format that is not read; {advice} it"):
        read(tmp_path / name)
    with pytest.raises(
        Error, match=f"holds no images .*other formats are not read: {advice} {name}"
    ):
        read(tmp_path)
    Image.fromarray(SAMPLES[..., 0]).save(tmp_path / "b.png")
    assert f"not images, not used: {name}" in read(tmp_path)[0].notes[0]


def test_colour_that_a_recipe_drops_is_told(tmp_path):
    Image.fromarray(SAMPLES[..., :3]).save(tmp_path / "a.png")
    (note,) = open_images(str(tmp_path), channels=1).notes
    assert "images in colour are read as grey; to keep it, give --channels 3" in note
    assert not open_images(str(tmp_path)).notes
    arrays = np.stack([SAMPLES[..., :3]] * 20)
    assert "read as grey" in open_images(arrays, channels=1).notes[-1]


@pytest.mark.parametrize("suffix", ["", ".png", ".tif", ".parquet", ".npy"])
def test_a_fifo_as_data_is_named_and_never_opened(suffix, tmp_path):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    with pytest.raises(Error, match=f"pipe{suffix} is a FIFO; give digits"):
        read(tmp_path / f"pipe{suffix}")
    with pytest.raises(Error, match="/dev/zero is a socket or device; give digits"):
        read("/dev/zero")


def test_a_fifo_among_the_files_is_named_and_never_opened(tmp_path):
    Image.fromarray(SAMPLES[..., 0]).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "metadata.csv")
    os.mkfifo(tmp_path / "dataset.json")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    images, _ = read(tmp_path)
    unused = "dataset.json (FIFO), gone (broken link), metadata.csv (FIFO), pipe (FIFO)."
    assert images.notes == [f"{tmp_path}/: not images, not used: {unused}"]
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(Error, match=r"1 unreadable of 2 images: b\.png \(a FIFO, not a file\)"):
        read(tmp_path)
    (tmp_path / "t").mkdir()
    os.mkfifo(tmp_path / "t/train.parquet")
    with pytest.raises(Error, match=r"train\.parquet is a FIFO, not a file; move it"):
        read(tmp_path / "t")
    with pytest.raises(Error, match=r"pipe \(a FIFO, not a file\)"):
        images.preprocess(str(tmp_path / "pipe"))


def test_a_link_to_itself_does_not_hide_other_broken_files(tmp_path):
    Image.fromarray(SAMPLES[..., 0]).save(tmp_path / "a.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(Error, match="3 unreadable of 4 images") as error:
        read(tmp_path)
    for part in ("loop.png (Too many levels", "gone.png (No such file", "empty.png (0 bytes)"):
        assert part in str(error.value)
    assert read(tmp_path, skip_unreadable=True)[0].split("all").keys == ["a.png"]


def test_pages_that_imagej_declares_and_a_file_does_not_list_are_noted(tmp_path):
    """As ImageJ writes a stack of more than 4 GB: one page is listed, of many."""
    description = "ImageJ=1.54f\nimages=10\nslices=10\nloop=false\n"
    for number, planes in enumerate((STACK[:1], STACK[:2])):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, planes, description=description, metadata=None)
    note = "declares 10 pages and lists {}: save it anew to read all."
    images, pixels = read(tmp_path)
    assert len(pixels) == 3
    assert images.notes[0] == f"{tmp_path}/: 0.tif: {note.format(1)}"
    assert images.notes[1] == f"{tmp_path}/: 1.tif: {note.format(2)}"
    assert not read(tmp_path, pages="first")[0].notes
