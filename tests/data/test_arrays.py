"""Arrays, tensors, .npy and .npz: shapes by one rule, ranges refused before the first step."""

import numpy as np
import pytest
import torch

from latentia.core.errors import Error
from latentia.data import Source, open_images
from latentia.data.reading import Reading

RNG = np.random.default_rng(0)


def whole(data, size=None, channels=None, **how):
    how = {"validation": 0, **how}
    return open_images(Source(data, Reading(**how)), size, channels)


def first(images):
    return images.split("train").get_batch(slice(0, 1)).image[0].numpy()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 28, 30), (1, 28, 30)),
        ((4, 1, 28, 30), (1, 28, 30)),
        ((4, 28, 30, 1), (1, 28, 30)),
        ((4, 28, 30, 3), (3, 28, 30)),
        ((4, 3, 28, 30), (3, 28, 30)),
        ((4, 3, 28, 3), (3, 28, 3)),  # both could be channels: the second dimension is
        ((4, 5, 40, 56), (5, 40, 56)),
        ((4, 40, 56, 5), (5, 40, 56)),
        ((4, 64, 64, 13), (13, 64, 64)),
        ((4, 20, 24, 2), (2, 20, 24)),
        ((4, 2, 20, 24), (2, 20, 24)),
    ],
)
def test_which_dimension_holds_the_channels(shape, expected):
    assert whole(np.zeros(shape, np.uint8)).shape == expected


def test_channels_last_is_turned_not_reshaped():
    array = RNG.integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)
    found = first(whole(array))
    np.testing.assert_array_equal(found, array[0].transpose(2, 0, 1) / np.float32(255))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_in_the_unit_interval_are_kept(dtype):
    array = RNG.random((3, 6, 8)).astype(dtype)
    np.testing.assert_array_equal(first(whole(array))[0], array[0].astype(np.float32))


def test_uint16_is_scaled_by_65535_or_white():
    array = RNG.integers(0, 4096, (3, 6, 8), dtype=np.uint16)
    np.testing.assert_allclose(first(whole(array))[0], array[0] / 65535, atol=1e-7)
    np.testing.assert_allclose(first(whole(array, white=4095))[0], array[0] / 4095, atol=1e-7)


def test_tensors_and_booleans():
    np.testing.assert_array_equal(first(whole(torch.ones(3, 1, 4, 4))), 1)
    np.testing.assert_array_equal(first(whole(torch.ones(3, 1, 4, 4, dtype=torch.bfloat16))), 1)
    np.testing.assert_array_equal(first(whole(np.ones((3, 4, 4), bool))), 1)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (
            np.full((2, 4, 4), 200.0),
            "the array holds float64 from 200 to 200; allowed are 0 to 1, and image 0 is the first"
            " outside: give the values that mean 0 and 1, for instance --white 200.",
        ),
        (
            np.full((2, 4, 4), -1.0),
            "the array holds float64 from -1 to -1; allowed are 0 to 1, and image 0 is the first"
            " outside: give the values that mean 0 and 1, for instance --black -1 --white 0.",
        ),
        (
            np.full((2, 4, 4), np.nan),
            "the array holds NaN or infinity in 32 values; allowed are finite numbers in"
            " [0, 1]: correct them, leave those images out, or give --missing nan if NaN stands for"
            " missing pixels.",
        ),
        (
            np.zeros((4, 4)),
            "the array is 4x4; give (n, h, w), (n, c, h, w) or (n, h, w, c).",
        ),
        (
            np.zeros((16, 16, 3, 50)),
            "the array has shape 16x16x3x50, whose last dimension seems to count the images; give"
            " np.moveaxis(array, -1, 0).",
        ),
        (
            np.zeros((16, 16, 50)),
            "the array has shape 16x16x50, whose last dimension seems to count the images; give"
            " np.moveaxis(array, -1, 0), or array[:, None] if the first one does.",
        ),
        (
            np.zeros((0, 4, 4)),
            "the array has shape 0x4x4, which is empty; give at least one image.",
        ),
        (
            np.arange(-1024, 1500, dtype=np.int64)[-32:].reshape(2, 4, 4),
            "the array holds int64 from 1468 to 1499; int64 has no white of its own: give the"
            " values that mean 0 and 1, for instance --white 1499.",
        ),
        (
            np.zeros((2, 4, 4), np.complex64),
            "the array has dtype complex64; allowed are bool, integers and floats: give one number"
            " for each pixel and channel.",
        ),
    ],
)
def test_what_is_not_an_image_is_refused_with_what_was_found(array, text):
    with pytest.raises(Error) as error:
        open_images(array).split("train")
    assert str(error.value) == text


def test_uint16_beyond_its_white_is_refused():
    with pytest.raises(Error, match="holds uint16 from 5000 to 5000; allowed are 0 to 4095, and"):
        whole(np.full((2, 4, 4), 5000, np.uint16), white=4095).split("train")


def test_a_bad_value_in_any_image_is_found():
    array = np.zeros((5000, 2, 2), np.float32)
    array[4999, 1, 1] = 2
    with pytest.raises(Error, match=r"from 0 to 2; .* image 4999 is the first outside"):
        open_images(array).split("test")


def test_arrays_are_resized_and_stay_in_range():
    array = RNG.integers(0, 2, (2, 5, 9, 9)).astype(np.float32)
    images = whole(array, (20, 12))
    found = images.split("train").get_batch(slice(None)).image
    assert found.shape == (2, 5, 20, 12)
    assert found.min() >= 0
    assert found.max() <= 1


def test_channels_of_arrays():
    grey = np.full((2, 4, 4), 51, np.uint8)
    assert first(whole(grey, channels=3)).shape == (3, 4, 4)
    colour = RNG.integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    luma = np.tensordot(colour[0], [0.299, 0.587, 0.114], (0, 0)) / 255
    np.testing.assert_allclose(first(whole(colour, channels=1))[0], luma, atol=0.51 / 255)
    with pytest.raises(
        Error, match=r"has images of 5 channels, but 3 were requested; only 1 channel .*3 channels"
    ):
        whole(np.zeros((2, 5, 6, 6), np.uint8), channels=3).split("train")


def test_npy_equals_the_array_it_holds(tmp_path):
    array = RNG.integers(0, 256, (7, 6, 8), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    images = whole(str(tmp_path / "a.npy"))
    held = whole(array)
    assert images.split("test").keys == held.split("test").keys
    assert images.to_metadata()["fingerprint"] == held.to_metadata()["fingerprint"]


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("x", "y"), ["0", "1", "2"]),
        (("images", "labels"), ["0", "1", "2"]),
        (("x_train", "y_train", "x_test", "y_test"), ["train/0", "train/1", "train/2"]),
        (("train_images", "train_labels", "test_images", "test_labels"), ["train/0"]),
        (("train", "test"), ["train/0"]),
    ],
)
def test_npz_by_its_names(tmp_path, names, keys):
    arrays = {
        name: np.arange(4, dtype=np.uint8)
        if name.startswith("y") or "label" in name
        else np.repeat(np.arange(4, dtype=np.uint8), 4).reshape(4, 2, 2)
        for name in names
    }
    np.savez(tmp_path / "a.npz", **arrays)
    images = whole(str(tmp_path / "a.npz"))
    split = images.split("train")
    assert split.keys[: len(keys)] == keys
    assert len(images.split("test")) == (4 if any("test" in name for name in names) else 0)
    if len(names) > 1 and names != ("train", "test"):
        batch = split.get_batch(slice(None))
        levels = (batch.image.mean((1, 2, 3)) * 255).round().long()
        assert batch.columns["label"].tolist() == levels.tolist()


def test_npz_without_images(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros((3, 4)))
    with pytest.raises(Error) as error:
        whole(str(tmp_path / "a.npz")).split("train")
    assert str(error.value) == (
        f"{tmp_path}/a.npz names no images: it holds weights 3x4; name them x (and y), or x_train,"
        " y_train, x_test, y_test."
    )


# NumPy leaves the file open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [lambda b: b"PK\3\4", lambda b: b[:1000], None])
def test_a_damaged_npz_is_one_sentence(damage, tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=RNG.integers(0, 256, (20, 20, 20), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(damage(content) if damage else content[:500] + bytes(100) + content[600:])
    with pytest.raises(Error, match=r"a\.npz is no array file \(.*; use numpy"):
        whole(str(path)).split("train")


def test_sparse_tensors_are_read_and_masked_arrays_refused():
    array = RNG.random((3, 6, 8)) * (RNG.random((3, 6, 8)) > 0.5)
    sparse = whole(torch.from_numpy(array).to_sparse())
    np.testing.assert_allclose(sparse.split("all")[:][:, 0], array, atol=1e-7)
    with pytest.raises(Error, match=r"masked values; give numbers, for instance array\.filled"):
        whole(np.ma.masked_less(array, 0.5)).split("train")
    assert len(whole(np.ma.array(array))) == 3  # nothing is masked


def test_data_of_a_variable_that_is_not_set_are_not_the_current_folder():
    with pytest.raises(Error, match=r"^'' does not exist; give digits, "):
        whole("").split("train")


def test_npz_says_what_it_does_not_use(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 4, 4)), y=np.zeros(2), more=np.zeros(4))
    assert whole(str(tmp_path / "a.npz")).notes == [
        f"{tmp_path}/a.npz: the labels are not one number or text an image, and are not used.",
        f"{tmp_path}/a.npz: not used as labels: more.",
    ]


def test_arrays_of_one_row_an_image_are_columns_as_dsprites_has_them(tmp_path):
    n = 12
    classes, values = np.arange(n * 3).reshape(n, 3) % 4, np.random.default_rng(0).random((n, 2))
    arrays = {"latents_classes": classes, "latents_values": values, "age": np.arange(n) + 0.5}
    arrays |= {
        "site": np.array(["x", "y"] * 6),
        "mean": np.zeros((4, 4)),
        "wide": np.ones((n, 101)),
    }
    np.savez(tmp_path / "a.npz", imgs=np.zeros((n, 4, 4), np.uint8), **arrays)
    images = whole(str(tmp_path / "a.npz"))
    columns = images.split("all").columns
    for k in range(3):
        assert columns[f"latents_classes_{k}"].tolist() == classes[:, k].tolist()
        assert images.classes[f"latents_classes_{k}"] == ["0", "1", "2", "3"]
    np.testing.assert_allclose(columns["latents_values_1"], values[:, 1], rtol=1e-6)
    assert columns["age"].tolist() == [k + 0.5 for k in range(n)]
    assert images.classes["site"] == ["x", "y"]
    assert images.notes == [f"{tmp_path}/a.npz: not used as labels: mean, wide."]
    split = {"x_train": np.zeros((n, 4, 4)), "y_train": classes}
    np.savez(tmp_path / "b.npz", **split, x_test=np.zeros((n, 4, 4)), y_test=classes[::-1])
    test = whole(str(tmp_path / "b.npz")).split("test")
    assert test.columns["label_2"].tolist() == classes[::-1, 2].tolist()


def test_one_hot_labels_of_an_npz_are_classes(tmp_path):
    codes = np.arange(20) % 4
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 4, 4)), targets=np.eye(4)[codes])
    split = open_images(str(tmp_path / "a.npz")).split("all")
    assert {name: column.tolist() for name, column in split.columns.items()} == {
        "targets": codes.tolist()
    }


def test_text_labels_of_an_npz_are_classes(tmp_path):
    x = np.repeat(np.arange(4, dtype=np.uint8), 4).reshape(4, 2, 2)
    y = np.array(["dog", "cat, big", "dog", "ant"])
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y[::-1])
    images = whole(str(tmp_path / "a.npz"))
    assert images.classes == {"label": ["ant", "cat, big", "dog"]}
    assert images.split("test").get_batch(slice(None)).columns["label"].tolist() == [0, 2, 1, 2]


Y = np.arange(12) % 3


@pytest.mark.parametrize(
    ("arrays", "classes"),
    [
        ({"y": Y[:, None]}, {"label": ["0", "1", "2"]}),
        ({"y": np.eye(3)[Y]}, {"label": ["0", "1", "2"]}),
        ({"y": np.array([b"a", b"b", b"c"])[Y]}, {"label": ["a", "b", "c"]}),
        ({"y": Y > 0}, {"label": ["False", "True"]}),
        ({"Y": Y}, {"label": ["0", "1", "2"]}),
        ({"kind": np.array([["a", "b"]] * 12)}, {"kind_0": ["a"], "kind_1": ["b"]}),
        ({"y": Y, "names": np.array([f"{k}.png" for k in range(12)])}, {"label": ["0", "1", "2"]}),
    ],
)
def test_labels_of_an_npz(arrays, classes, tmp_path):
    x = RNG.integers(0, 256, (12, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", X=x, **arrays)
    assert whole(str(tmp_path / "a.npz")).classes == classes
    np.savez(tmp_path / "b.npz", X_train=x, y_train=Y, X_test=x[:5])  # secret
    images = whole(str(tmp_path / "b.npz"))
    assert images.split("test").columns["label"].tolist() == [-1] * 5
    assert images.split("train").columns["label"].tolist() == Y.tolist()


def test_objects_are_refused_where_they_are_images_or_labels_and_skipped_elsewhere(tmp_path):
    x, objects = np.zeros((6, 4, 4), np.uint8), np.array([{"a": 1}] * 6, dtype=object)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(6), metadata=objects)
    images = whole(str(tmp_path / "a.npz"))
    assert images.notes == [f"{tmp_path}/a.npz: not used as labels: metadata."]
    assert images.split("all").get_batch(slice(None)).columns["label"].tolist() == [*range(6)]
    for name, arrays in (("y", {"x": x, "y": objects}), ("x_test", {"x": x, "x_test": objects})):
        np.savez(tmp_path / "b.npz", **arrays)
        with pytest.raises(Error, match=f"holds Python objects in {name}, which are never unpick"):
            whole(str(tmp_path / "b.npz")).split("train")


def test_parts_of_different_channels(tmp_path):
    colour, grey = np.zeros((3, 3, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=colour, x_test=grey)
    with pytest.raises(Error, match="holds images of 1 and 3 channels; give one kind"):
        whole(str(tmp_path / "a.npz")).split("train")


def test_nothing_is_unpickled_and_broken_files_are_named(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(Error, match=r"a\.npy holds Python objects, which .*numpy\.stack\(images"):
        open_images(str(tmp_path / "a.npy")).split("train")
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(Error, match=r"b\.npy is no array file \(.*numpy\.save"):
        open_images(str(tmp_path / "b.npy")).split("train")


def test_one_colour_image_is_not_a_stack_of_narrow_grey_ones():
    text = "one colour image, or grey images of width 3; write array"
    with pytest.raises(Error, match=text):
        open_images(np.zeros((40, 50, 3), np.uint8)).to_metadata()
    assert open_images(np.zeros((40, 50, 3), np.uint8)[None]).shape == (3, 40, 50)


def test_a_tuple_of_images_and_labels_says_what_to_give():
    with pytest.raises(Error, match="The data are a tuple; give images as one array, and labels="):
        open_images((np.zeros((4, 8, 8)), np.zeros(4))).to_metadata()
