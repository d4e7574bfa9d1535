"""--balance: every class has the same expected share of an epoch, whatever its number of images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import latentia
from data.shards import counted
from latentia.api.training import resume_run
from latentia.cli.main import main
from latentia.core.errors import Error
from latentia.core.seeding import make_generator
from latentia.data import open_images
from latentia.data.reading import Reading
from latentia.data.sources.registry import Source
from latentia.data.splits import draw_balanced_rows

FILES = ("log.jsonl", "weights.safetensors", "state.safetensors")


def content(run):
    return {name: (run.path / name).read_bytes() for name in FILES}


def test_every_class_has_the_same_expected_share_and_every_row_of_a_class_too():
    """A row of a class of m rows, one of k classes, is drawn with probability 1 / (k m)."""
    codes = torch.tensor([2] * 900 + [0] * 90 + [5] * 9 + [-1] * 1)
    draws = torch.cat(
        [draw_balanced_rows(codes, make_generator(0, "order", e)) for e in range(400)]
    )
    n, shares = len(draws), torch.bincount(draws, minlength=1000).double() / len(draws)
    for code, m in ((2, 900), (0, 90), (5, 9), (-1, 1)):
        rows = codes == code
        sd = (0.25 * 0.75 / n) ** 0.5
        assert abs(float(shares[rows].sum()) - 0.25) < 5 * sd
        p = 0.25 / m
        assert float((shares[rows] - p).abs().max()) < 6 * (p * (1 - p) / n) ** 0.5


def test_an_epoch_without_balance_is_a_permutation_and_with_it_a_draw_of_as_many():
    train = open_images("digits:300").split("train")
    plain = train.draw_order(make_generator(0, "order", 0))
    assert torch.equal(plain.sort().values, torch.arange(len(train)))
    rare = train.columns["label"].clone()
    rare[3:] = 1
    skewed = replace(train, columns={"label": rare})
    drawn = skewed.draw_order(make_generator(0, "order", 0), "label")
    assert len(drawn) == len(train)
    assert torch.equal(drawn, skewed.draw_order(make_generator(0, "order", 0), "label"))
    assert not torch.equal(drawn, skewed.draw_order(make_generator(0, "order", 1), "label"))
    assert (drawn < 3).double().mean() > 0.4


@pytest.mark.parametrize("stop", [2, 5])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_balanced_run_goes_on_to_the_same_bits(toy, tmp_path, monkeypatch, stop, streamed):
    monkeypatch.setattr("latentia.data.streaming.WINDOW_IMAGES", 24)
    data, column = "digits:100", "label"
    if streamed:
        data, column = str(counted(tmp_path / "shards", shards=8, each=8)), "label"
    options = latentia.Options(log_every=1, save_every=1, stream=streamed, balance=column)
    whole, cut, plain = (
        toy(name, stop=at, options=each, data=data, batch=8)
        for name, at, each in (
            ("whole", None, options),
            ("cut", stop, options),
            ("plain", None, replace(options, balance=None)),
        )
    )
    assert content(cut) != content(whole)
    list(resume_run(cut.path)[1])
    assert content(cut) == content(whole)
    assert content(plain) != content(whole)


def test_a_balanced_stream_fetches_each_shard_once_an_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("latentia.data.streaming.WINDOW_IMAGES", 16)
    data = str(counted(tmp_path / "shards", shards=8, each=8))
    train = open_images(Source(data, Reading(stream=True))).split("train")
    order = train.draw_order(make_generator(0, "order", 0), "label")
    assert len(order) == len(train)
    shards = train.pixels.find_shard_numbers(train.rows[order])
    windows = [train.pixels.window_by_shard[shard] for shard in shards.tolist()]
    assert windows == sorted(windows)
    grey = (train.get_batch(order).image.mean((1, 2, 3)) * 255).round().long()
    assert torch.equal(grey, train.rows[order])


@pytest.mark.parametrize(
    ("data", "column", "text"),
    [
        ("digits:60", "digit", "digits:60 has no column digit with classes; those with classes are"
         " label."),
        ("array", "label", "has no column label with classes; none has classes."),
        ("vehicles:60", "length", "has no column length with classes; "),
    ],
)  # fmt: skip
def test_a_column_without_classes_is_refused_before_a_folder_exists(
    data, column, text, tmp_path, array_file, capsys
):
    words = ["--data", array_file if data == "array" else data, "--balance", column]
    assert main(["train", "mnist_mlp_vae", *words, "--run", str(tmp_path / "run")]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_balance_is_an_option_of_python_too(tmp_path):
    run = latentia.train(
        "mnist_mlp_vae", "digits:60", epochs=1, hidden=8, balance="label", run=tmp_path / "run",
        progress=False,
    )  # fmt: skip
    assert run.metadata["options"]["balance"] == "label"
    with pytest.raises(Error, match="no column cats with classes"):
        latentia.train(
            "mnist_mlp_vae", np.zeros((9, 8, 8), "u1"), balance="cats", run=tmp_path / "b"
        )
