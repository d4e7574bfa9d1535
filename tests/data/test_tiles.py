"""Tiles are the image, cut: every pixel keeps its place, and what belongs together stays so."""

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling
from tiff_writer import write_tiff

import latentia
from latentia.api.training import resume_run
from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN
from latentia.data import Images, Source, open_images
from latentia.data.name_matching import strip_pages
from latentia.data.preprocess import read_batch, read_first_page, read_whole
from latentia.data.reading import Reading
from latentia.data.splits import SPLIT_NAMES
from latentia.data.tiles import format_tile_key, parse_tile_key
from latentia.explorer.images import decode_upload
from training.test_resume import RUNS, content

RNG = np.random.default_rng(0)
KINDS = {
    "grey": RNG.integers(0, 256, (40, 56), np.uint8),
    "colour": RNG.integers(0, 256, (40, 56, 3), np.uint8),
    "16 bits": RNG.integers(0, 65536, (40, 56), np.uint16),
    "odd": RNG.integers(0, 256, (37, 51, 3), np.uint8),
}


def read(data, tiles: int | str | None = 16, size=None, **options):
    options = {"validation": 0, **options}
    return open_images(Source(str(data), Reading(tiles=tiles, **options)), size)


def save(folder, *arrays):
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{number}.png")
    return folder


def by_key(images):
    everything = images.split("all")
    return dict(zip(everything.keys, everything[:].numpy(), strict=True))


def put_together(tiles, shape):
    """Lay each tile at the place in its key; a pixel in two of them must be the same in both."""
    canvas = np.full(shape, np.nan, np.float32)
    for key, tile in tiles.items():
        corner = parse_tile_key(key)[1]
        assert corner
        y, x = corner
        place = canvas[:, y : y + tile.shape[1], x : x + tile.shape[2]]
        assert (np.isnan(place) | (place == tile)).all(), key
        place[:] = tile
    return canvas


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tiles", ["8", "16", "16:8", "16:5", "20:1"])
def test_tiles_put_together_are_the_image_bit_for_bit(tmp_path, kind, tiles):
    folder = save(tmp_path / "f", KINDS[kind])
    (whole,) = by_key(read(folder, None)).values()
    assert np.array_equal(put_together(by_key(read(folder, tiles)), whole.shape), whole)
    if tiles == "8" and kind != "odd":
        assert len(by_key(read(folder, tiles))) == 5 * 7  # none twice


@pytest.mark.parametrize("tiles", [16, "16:8"])
def test_pages_as_channels_are_cut_together(tmp_path, tiles):
    pages = [Image.fromarray(each) for each in RNG.integers(0, 256, (3, 40, 56), np.uint8)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    (whole,) = by_key(read(tmp_path, None, pages="channels")).values()
    found = by_key(read(tmp_path, tiles, pages="channels"))
    assert np.array_equal(put_together(found, (3, 40, 56)), whole)


def test_each_page_is_cut_and_named(tmp_path):
    arrays = RNG.integers(0, 256, (2, 16, 32), np.uint8)
    first, second = map(Image.fromarray, arrays)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    found = by_key(read(tmp_path))
    assert [*found] == ["a.tif#0#0,0", "a.tif#0#0,16", "a.tif#1#0,0", "a.tif#1#0,16"]
    np.testing.assert_allclose(found["a.tif#1#0,16"][0], arrays[1, :, 16:] / 255, atol=1e-7)
    assert strip_pages([*found]) == ["a.tif"] * 4


def test_tiles_of_one_file_stay_in_one_split_whatever_the_seed(tmp_path):
    folder = save(tmp_path / "f", *RNG.integers(0, 256, (9, 32, 48), np.uint8))
    for seed in range(5):
        images = read(folder, "16:8", validation=0.3, seed=seed)
        files = [{*strip_pages(images.split(name).keys)} for name in SPLIT_NAMES]
        assert all(files)
        assert sum(map(len, files)) == 9
        assert any("Tiles of one file stay in one split" in note for note in images.notes)


@pytest.mark.parametrize(("tiles", "is_named"), [("16:8", True), ("16", False)])
def test_tiles_of_one_file_alone_are_drawn_singly_and_a_line_says_so(tmp_path, tiles, is_named):
    images = read(save(tmp_path / "f", RNG.integers(0, 256, (64, 96), np.uint8)), tiles)
    note = next(note for note in images.notes if "several splits" in note)
    assert note.startswith("Tiles of one file are in several splits, as the data hold only 1 file.")
    assert ("other splits hold pixels of the training" in note) == is_named


def test_other_files_do_not_change_the_tiles_of_one(tmp_path):
    arrays = RNG.integers(0, 256, (4, 24, 40), np.uint8)
    first, second = save(tmp_path / "a", *arrays), save(tmp_path / "b", *arrays[::-1])
    names = {f"{k}.png": f"{3 - k}.png" for k in range(4)}
    expected = by_key(read(first, "16:8"))
    for key, tile in by_key(read(second, "16:8")).items():
        name, corner = parse_tile_key(key)
        assert np.array_equal(tile, expected[format_tile_key(names[name], corner)])


@pytest.mark.parametrize("name", ["a.png", "b/c d.tif", "odd#1,2.png", "stack.tif#3", ""])
@pytest.mark.parametrize("corner", [(0, 0), (64, 128), None])
def test_a_key_says_its_image_and_its_corner(name, corner):
    assert parse_tile_key(format_tile_key(name, corner)) == (name, corner)


def test_empty_tiles_are_left_out_and_counted(tmp_path):
    array = RNG.integers(0, 256, (48, 48, 3), np.uint8)
    array[:16, :16] = (1, 2, 3)  # one colour
    array[16:32] = 200
    array[20, 20, 1] = 201  # one value of one pixel
    images = read(save(tmp_path / "f", array, np.zeros((16, 16, 3), np.uint8)))
    assert [*by_key(images)] == [f"0.png#{y},{x}" for y, x in (
        *((0, 16), (0, 32), (16, 16)),
        *((32, 0), (32, 16), (32, 32)),
    )]  # fmt: skip
    assert images.to_metadata()["empty_tiles"] == 4
    (note,) = [note for note in images.notes if "empty" in note]
    assert note.endswith(
        "1 file cut into 6 tiles of 16x16, one every 16 pixels; 4 empty ones, whose pixels are all"
        " equal, are left out."
    )


def test_a_difference_in_the_lower_bits_is_not_empty(tmp_path):
    array = np.full((16, 32, 3), 1000, np.uint16)
    array[3, 20, 0] += 1
    write_tiff(tmp_path / "a.tif", array)
    assert [*by_key(read(tmp_path))] == ["a.tif#0,16"]


def test_only_empty_tiles_are_an_error(tmp_path):
    folder = save(tmp_path / "f", np.full((32, 32), 7, np.uint8))
    with pytest.raises(Error, match=r"f/ holds only empty tiles, .* give other images, or larger"):
        read(f"{folder}/").split("all")


@pytest.mark.parametrize("way", ["alpha", "nan", "masks"])
def test_tiles_miss_the_pixels_that_their_image_misses(tmp_path, way):
    shape, option = (40, 56), str(tmp_path / way) if way == "masks" else way
    array, mask = RNG.integers(0, 256, shape, np.uint8), RNG.random(shape) < 0.7
    opacity = np.where(mask, 255, 0).astype(np.uint8)
    images = {
        "alpha": np.stack([array, array, array, opacity], 2),
        "nan": np.where(mask, array / np.float32(255), np.float32(np.nan)),
        "masks": array,
    }
    (tmp_path / "f").mkdir()
    Image.fromarray(images[way]).save(tmp_path / "f/0.tif")
    save(tmp_path / "masks", opacity)
    found = {}
    for tiles in (None, 16):
        everything = read(tmp_path / "f", tiles, missing=option, background=0.25).split("all")
        batch = everything.get_batch(slice(None))
        pixels = torch.cat([batch.image, batch.columns[MASK_COLUMN]], 1).numpy()
        found[tiles] = dict(zip(everything.keys, pixels, strict=True))
    (whole,) = found[None].values()
    assert np.array_equal(whole[-1], mask)
    assert np.array_equal(put_together(found[16], whole.shape), whole)
    preprocessing = read(tmp_path / "f", 16, missing=option, background=0.25).preprocessing
    new, columns = read_batch(tmp_path / "f/0.tif", preprocessing)
    pixels = torch.cat([new, columns[MASK_COLUMN]], 1).numpy()
    assert np.array_equal(pixels, np.stack([*found[16].values()]))
    assert np.array_equal(read_whole(tmp_path / "f/0.tif", preprocessing), whole[:-1])


def test_a_tile_without_any_number_is_empty(tmp_path):
    array = RNG.random((16, 48), np.float32)
    array[:, :20] = np.nan  # the first tile, and a part of the second
    array[3, 40] = np.nan
    (tmp_path / "f").mkdir()
    Image.fromarray(array).save(tmp_path / "f/0.tif")
    assert [*by_key(read(tmp_path / "f", missing="nan"))] == ["0.tif#0,16", "0.tif#0,32"]
    with pytest.raises(Error, match=r"0\.tif \(NaN or infinity among its values"):
        read(tmp_path / "f").split("all")


def test_size_resizes_each_tile(tmp_path):
    array = KINDS["colour"]
    found = by_key(read(save(tmp_path / "f", array), 16, size=8))["0.png#16,32"]
    tile = Image.fromarray(array[16:32, 32:48]).resize((8, 8), Resampling.BICUBIC)
    np.testing.assert_allclose(found, np.asarray(tile).transpose(2, 0, 1) / 255, atol=1e-7)


@pytest.mark.parametrize("tiles", ["0", "a", "16:17", "16:0", "16x16", "-3", ":4", "16:", 0])
def test_an_impossible_tiling_is_one_sentence(tiles):
    with pytest.raises(Error, match=r"tiles.* is "):
        Reading(tiles=tiles)


def test_an_image_smaller_than_a_tile_is_named(tmp_path):
    folder = save(tmp_path / "f", np.eye(20, dtype=np.uint8), np.eye(12, dtype=np.uint8))
    text = r"1\.png \(12x12 pixels, less than a tile of 16x16\).* or give smaller --tiles"
    with pytest.raises(Error, match=text):
        read(folder).split("all")
    assert {*strip_pages([*by_key(read(folder, skip_unreadable=True))])} == {"0.png"}


def test_what_is_no_file_is_not_cut(tmp_path):
    for data in ("digits:20", np.zeros((4, 32, 32))):
        source = Source(data, Reading(tiles=16))
        with pytest.raises(Error, match=r"is cut into no tiles \(--tiles 16\); give a folder of"):
            open_images(source).split("all")


def test_a_stream_of_a_folder_is_not_cut_and_the_message_says_why(tmp_path):
    folder = save(tmp_path / "f", np.eye(20, dtype=np.uint8))
    with pytest.raises(Error, match=r"into no tiles \(--tiles 16\); leave out --stream, and give"):
        read(folder, stream=True).split("all")


def test_the_default_is_left_out_of_the_metadata():
    assert ("tiles", "8:4") in Reading(tiles="8:4").list_pixel_options()
    assert "tiles" not in str(Reading().to_metadata((8, 8), 1))
    assert Reading(tiles=8).to_metadata((8, 8), 1)["reading"]["tiles"] == 8


def test_labels_of_a_file_are_those_of_its_tiles(tmp_path):
    folder = save(tmp_path / "f", *RNG.integers(0, 256, (6, 16, 32), np.uint8))
    rows = [f"{k}.png,{'ab'[k % 2]}" for k in range(6)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,kind", *rows]))
    split = read(folder).split("all")
    names = split.classes["kind"]
    assert names
    for key, code in zip(split.keys, split.columns["kind"].tolist(), strict=True):
        assert names[code] == "ab"[int(key[0]) % 2]


def test_a_run_reads_new_images_in_the_same_tiles(tmp_path):
    folder = save(tmp_path / "f", *RNG.integers(0, 256, (6, 32, 48), np.uint8))
    new = tmp_path / "new.png"
    array = RNG.integers(0, 256, (32, 32), np.uint8)
    Image.fromarray(array).save(new)
    options = {"latent": 2, "epochs": 1, "run": tmp_path / "run", "progress": False}
    latentia.train("conv_vae", str(folder), tiles="16:8", **options)
    run = latentia.load(tmp_path / "run")
    assert run.metadata["images"]["reading"]["tiles"] == "16:8"
    corners = [(y, x) for y in (0, 8, 16) for x in (0, 8, 16)]
    keys = [f"new.png#{y},{x}" for y, x in corners]
    table = run.encode(str(new))
    assert table["key"].tolist() == keys
    pixels = torch.stack([torch.tensor(array)[None, y : y + 16, x : x + 16] for y, x in corners])
    for each in (str(new), array, Image.open(new)):
        assert torch.equal(run.preprocess(each), pixels / 255)
    mean = run.model.encode(pixels / 255).mean
    torch.testing.assert_close(torch.tensor(table[["mu_0", "mu_1"]].to_numpy()), mean)
    pair = run.with_data(str(new)).reconstruct("new.png#8,16")
    assert torch.equal(pair, run.reconstruct(pixels[5] / 255))

    images = Images.from_metadata(run.metadata["images"])
    with pytest.raises(Error, match=r"is 9 tiles \(--tiles 16:8\); give it as --data, and one of"):
        run.reconstruct(str(new))
    with pytest.raises(Error, match="is 9 tiles"):
        read_first_page(str(new), images.preprocessing)
    with pytest.raises(Error, match=r"32x32 pixels, 9 tiles of 16x16"):
        decode_upload(new.read_bytes(), "new.png", images)
    scores = run.with_data(str(folder)).evaluate("elbo", split="all")
    assert scores["nelbo_nats"].n == 6 * 3 * 5


def test_an_interrupted_run_of_tiles_goes_on_as_if_it_had_not_been(tmp_path, trained):
    folder = save(tmp_path / "f", *RNG.integers(0, 256, (6, 32, 48), np.uint8))
    small = {"data": str(folder), "latent": 2, "epochs": 3, "batch": 8}
    options = latentia.Options(log_every=1, save_every=2, tiles="16:8")
    whole, cut = (trained(name, "conv_vae", small, stop, options=options) for name, stop in RUNS)
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)
