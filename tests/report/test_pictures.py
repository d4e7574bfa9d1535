"""Pictures: nothing blurred, nothing lost, the origin written on them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from latentia.report.grids import GAP, choose_columns, encode_gif, encode_png, load_font, make_grid
from latentia.report.latent_figures import shorten_key


def test_every_pixel_stands_in_the_sheet_in_order_and_unblurred():
    images = torch.rand(6, 1, 20, 30)
    sheet = np.asarray(make_grid(images, 3, ""))
    zoom = 2
    high, wide = 20 * zoom, 30 * zoom
    for k, image in enumerate(images):
        top, left = GAP + (k // 3) * (high + GAP), GAP + (k % 3) * (wide + GAP)
        tile = sheet[top : top + high : zoom, left : left + wide : zoom]
        np.testing.assert_array_equal(tile, (image[0] * 255).round().numpy())


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (5, "RGB")])
def test_any_number_of_channels_gives_a_picture_with_its_caption(channels, mode):
    picture = make_grid(torch.rand(4, channels, 8, 8), 4, "run: samples, seed 0, prior N(0, I)")
    assert picture.mode == mode
    assert picture.height > 56 + 2 * GAP
    with Image.open(io.BytesIO(encode_png(picture, "latents ü"))) as read:
        assert read.text["Description"] == "latents ü"  # pyright: ignore
    assert encode_png(picture, "x") == encode_png(picture, "x")


@pytest.mark.parametrize(("n", "columns"), [(96, 16), (64, 8), (100, 10), (1, 1), (7, 4), (12, 6)])
def test_rows_are_full_where_they_can_be(n, columns):
    assert choose_columns(n) == columns


def test_words_stand_beside_and_under_the_images_and_hide_none():
    images = torch.zeros(4, 1, 56, 56)
    images[3] = torch.nan  # an empty place
    words = {
        "labels_below": ["a", "b\n2.5", "c, longer than its image", ""],
        "row_labels": ["one\ntwo", "three"],
    }
    sheet = np.asarray(make_grid(images, 2, "", **words))
    black = (sheet == 0).sum()
    assert black == 3 * 56 * 56
    rows = np.flatnonzero((sheet == 0).any(1))
    columns = np.flatnonzero((sheet == 0).any(0))
    assert (sheet[rows[0] : rows[55] + 1, : columns[0]] < 100).any()  # the first row's words
    assert (sheet[rows[-1] + 1 :, columns[0] :] < 100).any()  # words under the last
    two_lines = sheet[rows[55] + 1 : rows[56]]
    assert np.diff(np.flatnonzero((two_lines < 200).any(1))).max() > 1


@pytest.mark.parametrize(
    ("key", "short"),
    [
        ("pants/0.jpg", "pants/0.jpg"),
        ("shop/clothes/pants/acb3.jpg", "pants/acb3.jpg"),
        ("clothes/pants/acb3c1d8a0e17f68fd224.jpg", "pants/acb3…68fd224.jpg"),
    ],
)
def test_a_short_key_has_its_folder_and_both_ends_of_its_name(key, short):
    assert shorten_key(key, 23) == short


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("n", [2, 5])
def test_an_animation_rests_where_it_turns(n, back):
    frames = [Image.new("L", (8, 8), 40 * k) for k in range(n)]
    shown, times = [], []
    with Image.open(io.BytesIO(encode_gif(frames, there_and_back=back))) as film:
        for k in range(film.n_frames):  # pyright: ignore
            film.seek(k)
            shown.append(round(film.convert("L").getpixel((4, 4)) / 40))  # pyright: ignore
            times.append(film.info["duration"])
    assert shown == [*range(n), *(range(n - 2, 0, -1) if back else ())]
    rests = {k for k, time in zip(shown, times, strict=True) if time == 1000 + 4000 / len(shown)}
    assert rests == ({0, n - 1} if back else {n - 1})
    assert sum(times) == 4000 + 1000 * len(rests)


@pytest.mark.parametrize("letter", "äßéµαΔ²·–")
def test_captions_have_letters_beyond_ascii(letter):
    font, missing = load_font(), "\U0010fffd"
    assert font.getmask(letter).getbbox()
    assert bytes(font.getmask(letter)) != bytes(font.getmask(missing))
