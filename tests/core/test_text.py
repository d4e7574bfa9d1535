"""One thing is named in the singular."""

from latentia.core.text import pluralize


def test_one_is_one_and_none_are_many():
    said = [pluralize(n, "image") for n in (0, 1, 2, 1000)]
    assert said == ["0 images", "1 image", "2 images", "1,000 images"]
    assert [pluralize(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
