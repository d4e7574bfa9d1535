"""The words of --cond: names of classes, taken by their exact text."""

import pytest

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
