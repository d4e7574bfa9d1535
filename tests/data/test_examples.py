"""Images that pictures show: a mix over the classes, the same for a seed."""

from collections import Counter

import numpy as np
import torch
from PIL import Image

from latentia.data import open_images
from latentia.data.examples import draw_example_rows


def test_each_class_comes_in_turn_whatever_its_size(tmp_path):
    for kind, n in (("a", 70), ("b", 20), ("c", 6)):
        (tmp_path / kind).mkdir()
        for k in range(n):
            Image.fromarray(np.full((4, 4), k, np.uint8)).save(tmp_path / f"{kind}/{k:02}.png")
    split = open_images(str(tmp_path)).split("all")
    rows = draw_example_rows(split, 9)
    assert Counter(split.keys[row][0] for row in rows.tolist()) == {"a": 3, "b": 3, "c": 3}
    assert torch.equal(rows, draw_example_rows(split, 9))
    assert not torch.equal(rows, draw_example_rows(split, 9, seed=1))
    everything = draw_example_rows(split, 1000)
    assert sorted(everything.tolist()) == list(range(96))


def test_images_without_classes_are_drawn_from_all():
    split = open_images(np.random.default_rng(0).random((200, 8, 8), np.float32)).split("all")
    rows = draw_example_rows(split, 12)
    assert len(set(rows.tolist())) == 12
    assert rows.max() > 100
