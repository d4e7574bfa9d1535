"""The words of --cond: names of classes, taken by their exact text."""

import pytest

import latentia
from latentia.core.errors import Error
from latentia.runs.sampling import parse_classes

PETS = ["cat, big", "cat, small", "dog"]


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("dog", PETS, [2]),
        ("cat, big", PETS, [0]),
        ("dog,cat, small,dog", PETS, [2, 1, 2]),
        ("cat, big, dog", PETS, [0, 2]),
        ("1, 0", PETS, [1, 0]),  # numbers of classes that have names
        ("40,10", ["10", "20", "30", "40"], [3, 0]),
        ("a,b", ["a", "a,b", "b"], [1]),  # the longest name first
        ("3,7", list(map(str, range(10))), [3, 7]),
        (",".join("01" * 10_000), ["0", "1"], [0, 1] * 10_000),  # in linear time
    ],
)
def test_classes_are_found_by_their_names_which_may_hold_commas(text, names, expected):
    assert parse_classes(text, names) == expected


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("3", ["10", "20"], "--cond is '3'; the classes are '10', '20'."),
        ("dog,cat", PETS, "--cond is 'cat'; the classes are 'cat, big', 'cat, small', 'dog'."),
        ("", ["a"], "--cond is ''; the classes are 'a'."),
        ("9", ["a"], "--cond is '9'; the classes are 'a'."),
    ],
)
def test_what_is_no_class_is_an_error_that_lists_them(text, names, message):
    with pytest.raises(Error) as raised:
        parse_classes(text, names)
    assert str(raised.value) == message


def test_a_prior_without_labels_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = {"epochs": 1, "options": latentia.Options(threads=1)}
    latentia.train("mnist_mlp_vae", "digits:200", hidden=8, latent=2, run="ae", **tiny)
    for clusters, text in (
        (3, "prior3 was trained without labels, by 3 groups of .*, and --cond is 'cat'; give numb"),
        (0, "prior0 was trained without --cond, and has no condition; omit --cond"),
    ):
        sizes = {"width": 8, "depth": 1, "clusters": clusters}
        run = latentia.train(
            "latent_prior", autoencoder="ae", run=f"prior{clusters}", **sizes, **tiny
        )
        with pytest.raises(Error, match=text):
            run.sample(2, cond="cat")
        if clusters:
            assert len(run.sample(2, cond="1, 0")) == 2
