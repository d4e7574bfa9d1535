"""Splits are disjoint, complete and the same everywhere."""

import pytest
import torch

from latentia.core.contract import Model
from latentia.data.splits import Split, assign_rows, splitmix64
from latentia.training.validation import score_split


@pytest.mark.parametrize("parts", [{"train": 1000}, {"train": 600, "test": 400}, {"train": 7}])
@pytest.mark.parametrize("validation", [0.0, 1 / 12, 0.5])
def test_disjoint_and_complete(parts, validation):
    rows = assign_rows(parts, 0, validation)
    every = torch.cat(list(rows.values()))
    assert sorted(every.tolist()) == list(range(sum(parts.values())))
    for mine in rows.values():
        assert mine.tolist() == sorted(mine.tolist())


def test_sizes_are_those_promised():
    rows = assign_rows({"train": 60000, "test": 10000}, 0, 1 / 12)
    assert [len(rows[name]) for name in ("train", "validation", "test")] == [55000, 5000, 10000]
    assert rows["test"].tolist() == list(range(60000, 70000))
    rows = assign_rows({"train": 1797}, 0, 1 / 12)
    assert [len(rows[name]) for name in ("train", "validation", "test")] == [1482, 135, 180]


def test_a_named_validation_stands():
    rows = assign_rows({"train": 50, "validation": 20, "test": 30}, 0, 1 / 12)
    assert rows["validation"].tolist() == list(range(50, 70))
    assert len(rows["train"]) == 50


def test_the_seed_moves_validation_but_never_a_named_test():
    one, two = (assign_rows({"train": 600, "test": 400}, seed, 0.1) for seed in (0, 1))
    assert one["validation"].tolist() != two["validation"].tolist()
    assert one["test"].tolist() == two["test"].tolist()


def test_the_share_of_validation_does_not_move_the_test():
    one, two = (assign_rows({"train": 600}, 0, share) for share in (0.1, 0.5))
    assert one["test"].tolist() == two["test"].tolist()


def test_the_draw_is_fixed_for_ever():
    """splitmix64 from seed 0, as its C code gives; another draw would mix test into train."""
    assert [hex(z) for z in splitmix64(2, 0).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
    ]
    assert assign_rows({"train": 40}, 0, 0.1)["test"].tolist() == FIXED


FIXED = [10, 12, 13, 30]


@pytest.mark.parametrize(
    ("shape", "many"),
    [((1, 28, 28), 500), ((1, 256, 256), 64), ((3, 256, 256), 21), ((3, 2048, 2048), 1)],
)
def test_large_images_come_to_a_network_in_small_batches(shape, many):
    keys, pixels = [str(k) for k in range(600)], torch.zeros(1).expand(600, *shape)
    photos = Split("test", keys, {}, {}, pixels, None)
    assert photos.max_batch_size() == many
    seen = []

    class Watching(Model):
        def score(self, batch, moment):
            seen.append(len(batch.image))
            return {"nelbo": torch.zeros(len(batch.image))}

    score_split(Watching(), photos.subsample(many + 1), 0)
    assert seen == [many, 1]


def test_an_image_is_named_by_number_key_or_the_end_of_a_key_that_only_one_has():
    keys = ["a/x.png", "b/x.png", "b/long/y.png", "12x.png"]
    part = Split("all", keys, {}, {}, torch.zeros(4, 1, 2, 2), None)
    names = ("2", "4", "a/x.png", "x.png", "y.png", "long/y.png", "g/y.png", "12x.png", "2x.png")
    assert [part.index_of(name) for name in names] == [2, None, 0, None, 2, 2, None, 3, None]
    assert [part.index_of(part.display_name(row)) for row in range(4)] == [0, 1, 2, 3]
    numbered = part.select(torch.tensor([3, 1]))
    assert numbered.display_name(0) == "12x.png"
    array = Split("test", ["7", "9"], {}, {}, torch.zeros(9, 1, 2, 2), torch.tensor([7, 8]))
    assert [array.display_name(row) for row in (0, 1)] == ["0", "1"]  # a key would count among all
