"""Streams of shards: the same images as without a stream, every one once an epoch, none kept."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch

from data.shards import counted, levels, parquet, picture, tar
from latentia.core.errors import Error
from latentia.core.seeding import make_generator
from latentia.data import Source, open_images, streaming
from latentia.data.reading import Reading
from latentia.data.sources.shards import is_shard_source
from latentia.data.splits import SPLIT_NAMES, assign_rows


def stream(where, **how):
    return open_images(Source(str(where), Reading(stream=True, **how)))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTIA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def fetched(monkeypatch):
    """How often each shard was fetched, by its rank among all."""
    count = Counter()
    before = streaming.StreamedPixels.__init__

    def noted(self, shards, *how):
        def counting(at, fetch):
            def get():
                count[at] += 1
                return fetch()

            return get

        shards = [
            s._replace(fetch_images=counting(at, s.fetch_images)) for at, s in enumerate(shards)
        ]
        before(self, shards, *how)

    monkeypatch.setattr(streaming.StreamedPixels, "__init__", noted)
    return count


def test_a_tar_gives_its_images_classes_and_names(tmp_path):
    everything = stream(counted(tmp_path / "s")).split("all")
    batch = everything.get_batch(torch.tensor([29, 3, 17]))
    assert levels(batch.image) == [29, 3, 17]
    assert batch.columns["label"].tolist() == [2, 0, 2]
    assert everything.keys[7] == "digits-001.tar/0007"
    assert everything.classes == {"label": ["0", "1", "2"]}


def test_parquet_gives_what_it_gives_without_a_stream(tmp_path):
    parquet(tmp_path / "s" / "train-0.parquet", range(20), group=6)
    parquet(tmp_path / "s" / "train-1.parquet", range(20, 30), group=6)
    parquet(tmp_path / "s" / "test-0.parquet", range(40, 47), group=6)
    there, here = stream(tmp_path / "s"), open_images(str(tmp_path / "s"))
    ours, theirs = (images.split("all").get_batch(slice(None)) for images in (there, here))
    assert torch.equal(ours.image, theirs.image)
    assert torch.equal(ours.columns["label"], theirs.columns["label"])
    assert there.classes["label"] == here.classes["label"] == ["a", "b", "c"]
    assert levels(there.split("test").get_batch(slice(None)).image) == list(range(40, 47))


def test_far_shards_are_read_over_their_protocol(tmp_path):
    import fsspec

    near = counted(tmp_path / "s", shards=3)
    far = fsspec.filesystem("memory")
    far.put(str(near), "/bucket", recursive=True)
    try:
        images = stream("memory://bucket/digits-*.tar")
        assert levels(images.split("all").get_batch(slice(None)).image) == list(range(15))
        assert images.to_metadata()["source"] == "memory://bucket/digits-*.tar"
    finally:
        far.rm("/bucket", recursive=True)


def test_held_out_images_are_whole_shards_and_every_image_is_in_one_split(tmp_path):
    images = stream(counted(tmp_path / "s", shards=12, each=3), validation=0.2)
    found = {name: levels(images.split(name).get_batch(slice(None)).image) for name in SPLIT_NAMES}
    assert sorted(chain(*found.values())) == list(range(36))
    for part in found.values():
        assert part
        assert all(3 * (k // 3) + j in part for k in part for j in range(3))
    assert {name: len(part) for name, part in found.items()} == {
        "train": 27,
        "validation": 6,  # of 33 that are left, at most a fifth
        "test": 3,
    }


@pytest.mark.parametrize(
    ("sizes", "held"),
    [((5,), (5, 0, 0)), ((5, 5), (10, 0, 0)), ((5,) * 4, (15, 0, 5)), ((900, 100), (900, 0, 100))],
)
def test_of_unequal_shards_the_smallest_is_held_out_or_none(sizes, held):
    """No split is of the seed's whim: it is never most of the images."""
    at = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(5):
        rows = assign_rows({"train": sum(sizes)}, seed, 1 / 12, at)
        assert tuple(len(rows[name]) for name in SPLIT_NAMES) == held


@pytest.mark.parametrize("shards", [1, 2, 6])
def test_of_few_shards_images_are_held_out(tmp_path, shards):
    images = stream(counted(tmp_path / "s", shards=shards, each=60 // shards))
    assert [len(images.split(name)) for name in SPLIT_NAMES] == [
        50,
        4,
        6,
    ]  # some round: 54 / 12 is 4.5


def test_shards_of_a_test_alone_can_be_measured(tmp_path):
    images = stream(counted(tmp_path / "s", shards=2, name="test-{:03}.tar"))
    assert [len(images.split(name)) for name in SPLIT_NAMES] == [0, 0, 10]


def test_an_epoch_shows_every_image_once_and_fetches_every_shard_once(
    tmp_path, fetched, monkeypatch
):
    monkeypatch.setattr(streaming, "WINDOW_IMAGES", 10)  # two shards a window
    train = stream(counted(tmp_path / "s", shards=20), validation=0.0).split("train")
    epochs = [train.draw_order(make_generator(0, "order", epoch)) for epoch in (0, 0, 1)]
    assert torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])
    for order in epochs:
        assert sorted(order.tolist()) == list(range(len(train)))
    seen = [levels(train.get_batch(rows).image) for rows in epochs[2].split(7)]
    assert sorted(chain(*seen)) == sorted(levels(train.get_batch(slice(None)).image))


def test_every_shard_is_fetched_once_an_epoch_whatever_the_batch(tmp_path, fetched, monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW_IMAGES", 10)
    images = stream(counted(tmp_path / "s", shards=20), validation=0.0)
    train, most = images.split("train"), 0
    for rows in train.draw_order(make_generator(0, "order", 0)).split(
        7
    ):  # batches that span two windows
        train.get_batch(rows)
        most = max(most, len(train.pixels.futures))
    assert set(fetched.values()) == {1}
    assert len(fetched) == 18
    assert most <= 4  # two windows


def test_windows_mix_their_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW_IMAGES", 50)
    train = stream(counted(tmp_path / "s", shards=20, each=10), validation=0.0).split("train")
    order = train.draw_order(make_generator(0, "order", 0))
    shard = train.pixels.find_shard_numbers(train.rows[order])
    assert len(set(shard[:50])) == 5  # a window of five shards
    assert min(len(set(shard[k : k + 25])) for k in (0, 25, 50, 75)) > 3  # well mixed within


def test_nothing_but_an_index_is_kept(tmp_path):
    images = stream(counted(tmp_path / "s"))
    images.split("all").get_batch(slice(None))
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert {path.parent.name for path in kept} == {"shards"}
    assert len(kept) == 6


def test_the_fingerprint_is_of_the_shards(tmp_path):
    spec = stream(counted(tmp_path / "a")).to_metadata()
    assert spec["streamed"]
    assert spec["count"] == {"train": 25, "validation": 2, "test": 3}
    assert stream(counted(tmp_path / "b")).to_metadata()["fingerprint"] == spec["fingerprint"]
    others = stream(counted(tmp_path / "c", each=6)).to_metadata()
    assert others["fingerprint"] != spec["fingerprint"]


def test_deep_and_flat_images_meet_in_float(tmp_path):
    import io

    from PIL import Image

    def deep(value):
        data = io.BytesIO()
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(data, "PNG")
        return data.getvalue()

    tar(tmp_path / "a" / "0.tar", {"0.png": picture(51)})
    tar(tmp_path / "a" / "1.tar", {"1.png": deep(13107)})
    tar(tmp_path / "b" / "0.tar", {"0.png": deep(13107)})
    tar(tmp_path / "b" / "1.tar", {"1.png": picture(51)})
    for folder in ("a", "b"):
        everything = stream(tmp_path / folder).split("all")
        assert everything.pixels.dtype == torch.float32
        assert levels(everything.get_batch(slice(None)).image) == [51, 51]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no .tar or .parquet file; --stream reads hub:OWNER/NAME, or a folder"),
        ({"._0.tar": {"0.png": b""}}, "has no .tar or .parquet file"),  # of another system
        ({"0.tar": {"0.png": picture(0), "0.cls": b"cat"}}, "0.cls holds 'cat'; a class is a"),
        ({"0.tar": {"0.txt": b"0"}}, "holds no images; give shards with images"),
        ({"0.tar": {"0.tga": b"0"}}, "holds no images"),  # known by its name alone
        ({"0.tar": {"0.png": b"no image"}}, r"0.tar cannot be read \(not an image that"),
        (
            {"0.tar": {"0.png": picture(0), "1.png": b"no image"}},
            r"Image 1 of 0.tar is unreadable .* repair the shard",
        ),
        (
            {"0.tar": {"0.png": picture(0)}, "1.tar": {"1.png": picture(0, (4, 5))}},
            "holds images of 2 sizes",
        ),
    ],
)
def test_shards_that_are_not_what_they_should_be(tmp_path, files, said):
    (tmp_path / "s").mkdir()
    for name, inside in files.items():
        tar(tmp_path / "s" / name, inside)
    with pytest.raises(Error, match=said):
        stream(tmp_path / "s").split("all").get_batch(slice(None))


def test_a_broken_shard_and_one_that_is_gone(tmp_path):
    counted(tmp_path / "s")
    images = stream(tmp_path / "s")
    images.to_metadata()
    (tmp_path / "s" / "digits-003.tar").unlink()
    with pytest.raises(Error, match=r"digits-003.tar cannot be read .*`latentia resume`"):
        images.split("all").get_batch(slice(None))
    (tmp_path / "s" / "digits-003.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(Error, match=r"digits-003.tar cannot be read"):
        stream(tmp_path / "s").to_metadata()


def test_what_holds_shards_is_known_by_looking(tmp_path):
    counted(tmp_path / "s", shards=1)
    given = (tmp_path / "s", str(tmp_path / "s" / "*.tar"), tmp_path, tmp_path / "no", np.zeros(3))
    assert [is_shard_source(each) for each in given] == [True, True, True, False, False]


def test_only_shards_are_streamed(tmp_path):
    with pytest.raises(Error, match="digits is generated, not read; leave out --stream"):
        stream("digits").to_metadata()
    with pytest.raises(Error, match="have 1 or 3 channels, not 2"):
        open_images(Source(str(counted(tmp_path / "s")), Reading(stream=True)), channels=2).shape  # noqa: B018


def test_what_a_shard_lacks_or_is_not_read_for_is_said(tmp_path):
    files = {"0.png": picture(3), "0.cls": b"1", "0.seg.png": picture(9), "1.png": picture(4)}
    tar(tmp_path / "s" / "0.tar", files)
    tar(tmp_path / "s" / "1.tar", {})
    images = stream(tmp_path / "s")
    assert levels(images.split("all").get_batch(slice(None)).image) == [3, 4]
    assert images.classes == {}
    said = " ".join(images.notes)
    assert "0.tar: 1 image not used, named with several dots or twice" in said
    assert "0.tar: classes not used: 1 image without" in said


def test_one_shard_in_colour_makes_all_of_them_colour(tmp_path):
    tar(tmp_path / "s" / "0.tar", {"0.png": picture(3)})
    tar(tmp_path / "s" / "1.tar", {"1.png": picture(4, mode="RGB")})
    assert stream(tmp_path / "s").shape == (3, 4, 4)


def test_a_folder_may_be_called_like_a_pattern(tmp_path):
    assert len(stream(counted(tmp_path / "a[1]*", shards=2)).split("all")) == 10


def test_after_a_failure_the_same_images_are_read_right(tmp_path):
    folder = counted(tmp_path / "s", shards=4)
    whole = (folder / "digits-002.tar").read_bytes()
    (folder / "digits-002.tar").write_bytes(b"torn" * 200)
    images = stream(folder)
    with pytest.raises(Error, match="digits-002"):
        images.to_metadata()
    (folder / "digits-002.tar").write_bytes(whole)
    assert levels(images.split("all").get_batch(slice(None)).image) == list(range(20))


def test_a_shard_that_shrank_is_named(tmp_path):
    images = stream(counted(tmp_path / "s"))
    images.to_metadata()
    counted(tmp_path / "s", shards=1, each=4)
    with pytest.raises(Error, match=r"digits-000.tar holds 4 images, and held 5; restore it"):
        images.split("all").get_batch(slice(None))


def test_a_place_that_is_not_there_or_not_reached(tmp_path):
    with pytest.raises(Error, match="does not exist; --stream reads"):
        stream(tmp_path / "nowhere").to_metadata()
    with pytest.raises(Error, match=r"cannot be reached .*check the address and"):
        stream("nonsense://bucket/a.tar").to_metadata()


def test_no_more_than_two_shards_of_the_next_window_wait(tmp_path, monkeypatch):
    """A process that ends waits for what is queued."""
    monkeypatch.setattr(streaming, "WINDOW_IMAGES", 25)
    train = stream(counted(tmp_path / "s", shards=20), validation=0.0).split("train")
    for rows in train.draw_order(make_generator(0, "order", 0)).split(5):
        train.get_batch(rows)
        assert sum(not future.done() for future in train.pixels.futures.values()) <= 2


def test_other_threads_may_read_as_well(tmp_path, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    everything = stream(counted(tmp_path / "s", shards=8)).split("all")
    rows = [torch.randperm(40, generator=make_generator(0, "rows", k)) for k in range(60)]
    with ThreadPoolExecutor(4) as pool:
        for mine, batch in zip(rows, pool.map(everything.get_batch, rows), strict=True):
            assert levels(batch.image) == mine.tolist()
