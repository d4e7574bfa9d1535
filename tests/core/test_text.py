"""One thing is named in the singular."""

from latentia.core.text import pluralize, split_list


def test_one_is_one_and_none_are_many():
    said = [pluralize(n, "image") for n in (0, 1, 2, 1000)]
    assert said == ["0 images", "1 image", "2 images", "1,000 images"]
    assert [pluralize(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]


def test_a_list_is_split_at_commas_that_are_in_no_name():
    names = ["a, b", "a", "c"]
    assert split_list("a, b,c", names) == ["a, b", "c"]
    assert split_list("a,b , c", names) == ["a", "b", "c"]
    assert split_list("x,a, b", names) == ["x", "a, b"]
