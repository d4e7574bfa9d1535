"""A map gives each pixel the value of a tile that holds it, whatever the order of the tiles."""

import numpy as np
import pytest
from PIL import Image

import latentia
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.data.reading import Tiling
from latentia.data.tiles import list_corners
from latentia.report.tile_map import render_map, spread_values

RNG = np.random.default_rng(0)


def spread(shape, tiling, values=None, step=1):
    corners = np.array(list_corners(shape, tiling))
    values = np.arange(len(corners), dtype=float) if values is None else values
    return corners, spread_values(values, corners, shape, tiling, step)


def test_tiles_beside_each_other_are_blocks():
    """A table (rows, columns) becomes its Kronecker product with a tile of ones."""
    values = RNG.normal(size=(3, 4))
    _, found = spread((24, 32), Tiling(8, 8), values.ravel())
    assert np.array_equal(found, np.kron(values, np.ones((8, 8))))


@pytest.mark.parametrize("tiling", [Tiling(8, 8), Tiling(8, 3), Tiling(8, 1)])
@pytest.mark.parametrize("shape", [(24, 32), (25, 31), (8, 8)])
def test_each_pixel_has_the_value_of_the_tile_with_the_nearest_centre(shape, tiling):
    corners, found = spread(shape, tiling)
    pixels = np.indices(shape).reshape(2, -1).T + 0.5  # (n, 2)
    gaps = abs(pixels[:, None] - corners - tiling.size / 2)  # (n, tiles, 2)
    chosen = gaps[np.arange(len(pixels)), found.astype(int).ravel()]
    assert (chosen <= tiling.size / 2).all()  # the tile holds the pixel
    np.testing.assert_allclose(chosen, gaps.min(1))


def test_the_order_of_the_tiles_does_not_matter_and_a_step_only_skips_pixels():
    shape, tiling = (40, 56), Tiling(16, 8)
    corners, expected = spread(shape, tiling)
    order = RNG.permutation(len(corners))
    found = spread_values(order.astype(float), corners[order], shape, tiling)
    assert np.array_equal(found, expected)
    assert np.array_equal(spread(shape, tiling, step=3)[1], expected[::3, ::3])


def test_a_tile_that_was_left_out_is_blank():
    corners = np.array([(0, 0), (8, 8)])
    found = spread_values(np.array([1.0, 2.0]), corners, (16, 16), Tiling(8, 8))
    assert np.array_equal(np.isnan(found), np.kron([[0, 1], [1, 0]], np.ones((8, 8))) > 0)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("column", [([0.5, np.nan], None), ([1.0, np.nan], ["a", "b"])])
def test_a_picture_is_drawn_of_numbers_and_of_classes(channels, column):
    image = RNG.random((channels, 8, 16), dtype=np.float32)
    corners, values = np.array([(0, 0), (0, 8)]), (np.array(column[0]), column[1])
    picture = render_map("run, a.png: x", image, values, corners, Tiling(8, 8))
    assert picture.encoders[".png"]()[:4] == b"\x89PNG"
    assert picture.caption == "run, a.png: x of 2 tiles of 8x8 pixels"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "slides/b").mkdir(parents=True)
    for k in range(4):
        array = RNG.integers(0, 256, (32, 48), np.uint8)
        array[:16, :16] = 0 if k == 1 else array[:16, :16]
        Image.fromarray(array).save(folder / f"slides/b/{k}.png")
    options = {"latent": 2, "epochs": 1, "run": folder / "run", "progress": False}
    return latentia.train("conv_vae", str(folder / "slides"), tiles=16, **options)


def test_a_map_is_the_table_over_the_image(run):
    picture = run.plot_map("b/1.png", "mu_1")
    table = run.encode().set_index("key")["mu_1"]
    corners = [(0, 16), (0, 32), (16, 0), (16, 16), (16, 32)]
    expected = np.full((2, 3), np.nan)
    for y, x in corners:
        expected[y // 16, x // 16] = table[f"b/1.png#{y},{x}"]
    expected = np.kron(expected, np.ones((16, 16)))
    np.testing.assert_allclose(picture.images[0], expected, atol=1e-6)
    assert picture.caption == "run, 1.png: mu_1 of 5 tiles of 16x16 pixels; blank: 1 empty tile"
    file = run.path.parent / "slides/b/1.png"
    for latents in (None, run.encode()):
        again = run.plot_map(str(file), "mu_1", latents=latents)
        np.testing.assert_allclose(again.images, picture.images, atol=1e-6)


def test_a_map_of_groups(run):
    picture = run.plot_map("b/2.png", "cluster", latents=run.encode(clusters=2))
    assert {*np.unique(picture.images)} <= {0, 1}


def test_the_command_draws_a_table_that_encode_wrote(run, capsys):
    table, out = run.path.parent / "z.csv", run.path.parent / "map.svg"
    assert main(["encode", str(run.path), "--out", str(table), "--clusters", "2"]) == 0
    words = ["map", str(run.path), "b/0.png", "--column", "cluster", "--latents", str(table)]
    assert main([*words, "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"{out}\n")
    assert "cluster of 6 tiles of 16x16" in out.read_text()


def test_mistakes_are_one_sentence(run, tmp_path):
    for column in ("mu_7", "key", "split", "encoder", "label"):  # one value in a whole image
        text = f"no column {column} that a map shows; it has mu_0, .*. For a label give --latents,"
        with pytest.raises(Error, match=text):
            run.plot_map("b/0.png", column)
    run.plot_map("b/0.png", "split", latents=run.encode())  # tiles of few images differ in it
    with pytest.raises(
        Error, match=r"--latents none\.csv cannot be read: No such file or directory"
    ):
        run.plot_map("b/0.png", "mu_0", latents="none.csv")
    with pytest.raises(Error, match="--latents has no column key; give the table that latentia en"):
        run.plot_map("b/0.png", "mu_0", latents=run.encode().drop(columns="key"))
    with pytest.raises(Error, match=r"There is no file b/9\.png, nor one in .*slides; give an"):
        run.plot_map("b/9.png", "mu_0")
    other = tmp_path / "new.png"
    Image.fromarray(RNG.integers(0, 256, (16, 16), np.uint8)).save(other)
    with pytest.raises(Error, match=r"has no tiles of .*new.png \(16x16 pixels\); it has those of"):
        run.plot_map(other, "cluster")
    with pytest.raises(Error, match=r"--latents z.npz ends in .npz; give a .parquet or"):
        run.plot_map("b/0.png", "mu_0", latents="z.npz")
    whole = {"latent": 2, "epochs": 1, "run": tmp_path / "whole", "progress": False}
    plain = latentia.train("conv_vae", "digits:40", **whole)
    with pytest.raises(Error, match="reads images whole; train one with --tiles 64 for a map"):
        plain.plot_map(other, "mu_0")
