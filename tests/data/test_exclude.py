"""Images that a table of keys leaves out of training."""

import numpy as np
import pytest
from PIL import Image

from latentia.core.errors import Error
from latentia.data import Images, open_images
from latentia.data.reading import Reading
from latentia.data.sources.registry import Source


@pytest.fixture
def folder(tmp_path):
    for kind in ("a", "b"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for k in range(30):
            Image.fromarray(np.full((4, 4), k, np.uint8)).save(tmp_path / f"set/{kind}/{k}.png")
    return tmp_path / "set"


def open_without(folder, exclude):
    return open_images(Source(str(folder), Reading(exclude=exclude)))


def test_images_of_a_table_are_left_out_and_the_others_stay_in_their_splits(folder, tmp_path):
    table = tmp_path / "odd.csv"
    table.write_text("key,finding\na/3.png,constant\nb/7.png,constant\na/3.png,twice\n")
    whole, rest = open_images(str(folder)), open_without(folder, str(table))
    for name in ("train", "validation", "test", "all"):
        kept = [key for key in whole.split(name).keys if key not in ("a/3.png", "b/7.png")]
        assert rest.split(name).keys == kept
        levels = rest.split(name)[:].mean((1, 2, 3)) * 255
        assert [round(float(v)) for v in levels] == [int(k.split("/")[1][:-4]) for k in kept]
        assert rest.find_split_names(rest.split(name)) == [
            *map(dict(zip(rest.split("all").keys, split_names(rest), strict=True)).get, kept)
        ]


def split_names(images):
    return images.find_split_names(images.split("all"))


def test_run_metadata_hold_the_keys_so_that_the_table_may_go(folder, tmp_path):
    table = tmp_path / "odd.csv"
    table.write_text("key\na/3.png\n")
    metadata = open_without(folder, str(table)).to_metadata()
    assert metadata["reading"]["exclude"] == ["a/3.png"]
    assert sum(metadata["count"].values()) == 59
    again = open_images(Source(str(folder), Reading.from_metadata(metadata)))
    assert again.to_metadata() == metadata
    assert Images.from_metadata(metadata).shape == (1, 4, 4)


def test_a_table_without_rows_leaves_out_nothing_and_says_so(folder, tmp_path):
    (tmp_path / "none.csv").write_text(
        "key,finding,value,same_as\n"
    )  # of a doctor without findings
    images = open_without(folder, str(tmp_path / "none.csv"))
    assert len(images) == 60
    assert any("none.csv has no rows, so that no image is left out." in n for n in images.notes)


def test_a_list_of_names_needs_no_header(folder, tmp_path):
    """As `ls` writes it."""
    (tmp_path / "odd.txt").write_text("a/3.png\nB\\4.PNG\n")
    images = open_without(folder, str(tmp_path / "odd.txt"))
    assert images.to_metadata()["reading"]["exclude"] == ["a/3.png", "b/4.png"]


@pytest.mark.parametrize(
    ("names", "text"),
    [(["c.png"], "odd.csv"), (None, "names all images")],
)
def test_a_table_that_cannot_be_meant_is_refused(folder, tmp_path, names, text):
    names = names or open_images(str(folder)).split("all").keys
    (tmp_path / "odd.csv").write_text("\n".join(["key", *names]))
    with pytest.raises(Error, match=text):
        open_without(folder, str(tmp_path / "odd.csv")).split("train")
