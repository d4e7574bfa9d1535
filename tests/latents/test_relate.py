"""Which dimension carries which label: found where planted, silent where there is none."""

import numpy as np
import pytest
from scipy.stats import binom

from latentia.cli.tables import print_associations
from latentia.core.errors import Error
from latentia.core.mutual_information import assign_quantile_bins, mutual_information
from latentia.latents.association import (
    SIGNIFICANCE_LEVEL,
    associate_labels,
    get_star,
    measure_information,
)
from latentia.latents.encoding import LatentTable
from latentia.report.latent_figures import draw_associations


def planted(n=600, d=6, seed=0):
    """Correlated dimensions; dimension 4 carries a class, |dimension 2| a number."""
    draw = np.random.default_rng(seed)
    mean = draw.normal(size=(n, d))
    mean[:, 1] = 0.8 * mean[:, 0] + 0.6 * mean[:, 1]
    kind = (mean[:, 4] + 0.5 * draw.normal(size=n) > 0).astype(np.int64) + (mean[:, 4] > 1)
    size = np.abs(mean[:, 2]) + 0.1 * draw.normal(size=n)
    kl = np.tile(np.float32([1, 2, 9, 3, 8, 0]), (n, 1))
    codes = LatentTable(mean.astype(np.float32), np.ones((n, d), np.float32), kl)
    return codes, {"kind": kind, "size": size.astype(np.float32)}


def test_the_dimension_that_carries_a_label_is_found():
    codes, columns = planted()
    found = associate_labels(codes, columns, {"kind": ["a", "b", "c"]}, max_dims=3)
    kind, size = found.associations
    assert (kind.kind, size.kind) == ("class", "number")
    assert np.flatnonzero(kind.p <= SIGNIFICANCE_LEVEL).tolist() == [4]
    assert np.flatnonzero(size.p <= SIGNIFICANCE_LEVEL).tolist() == [
        2
    ]  # no line tells it: it is even
    assert found.dims_by_kl == [2, 4, 3, 1, 0, 5]
    assert kind.scores[0].low < kind.scores[0].chance < kind.scores[0].high  # dimension 2: nothing
    assert kind.scores[1].low > kind.scores[1].chance + 0.1
    assert size.scores[0].low > 0.8
    rest = np.delete(kind.information, 4)
    assert abs(rest.mean()) < 0.005  # the counts' own bias, 7 * 2 / 1200 = 0.012, is gone
    assert kind.linear.low > kind.linear.chance + 0.1
    assert kind.linear.chance == pytest.approx(np.bincount(columns["kind"]).max() / 600, abs=0.03)
    assert size.linear.score < 0.1 < 0.3 < size.neighbors.low  # even in dimension 2
    assert (kind.order[0], size.order[0]) == (4, 2)
    assert set(found.dims_by_information[:2]) == {2, 4}


def test_the_stated_false_positive_rate_holds():
    """200 shuffled label columns: any dimension starred in 5 % of them, within 99 % of chance."""
    codes, columns = planted(n=200)
    draw = np.random.default_rng(1)
    shuffled = {
        f"{name} {k}": draw.permutation(values)
        for name, values in columns.items()
        for k in range(100)
    }
    found = [
        measure_information(codes.mean, values, name.startswith("kind"), permutations=100)
        for name, values in shuffled.items()
    ]
    wrong = sum((each.p <= SIGNIFICANCE_LEVEL).any() for each in found)
    assert abs(wrong / 200 - SIGNIFICANCE_LEVEL) <= 0.03
    low, high = binom.interval(0.99, 200, SIGNIFICANCE_LEVEL)
    assert low <= wrong <= high


def test_equal_columns_have_equal_p_values_and_stars():
    """Permutations have the address of the values, neither of the column's name nor place."""
    codes, columns = planted(n=150)
    weak = np.random.default_rng(3).permutation(columns["size"])
    given = {"a": weak, "size": columns["size"], "b": weak.astype(np.float64), "c": 10 * weak + 1}
    a, _, b, c = associate_labels(codes, given, max_dims=1, permutations=50).associations
    for other in (b, c):
        np.testing.assert_array_equal(a.p, other.p)
        np.testing.assert_array_equal(a.information, other.information)
        assert a.linear.score == pytest.approx(other.linear.score, abs=1e-6)
    assert len(set(a.p)) > 1
    another = measure_information(codes.mean, weak, False, 50, seed=1)
    assert (another.p != a.p).any()


def test_intervals_of_information_cover_the_truth():
    """95 % of 95 % intervals hold the information that a million images have, or none."""
    draw = np.random.default_rng(4)

    def draw_pair(n):
        z = draw.normal(size=(n, 2))
        return z, z[:, 0] + draw.normal(size=n)

    z, y = draw_pair(10**6)
    bins = [assign_quantile_bins(column, 7) for column in (z[:, 0], y)]
    truth = mutual_information(bins[0][:, None], bins[1])[0]
    hits = np.zeros(2)
    for _ in range(200):
        z, y = draw_pair(343)  # 7 bins
        found = measure_information(z, y, False, permutations=40)
        hits += (found.low <= [truth, 0]) & ([truth, 0] <= found.high)
    assert (hits / 200 >= 0.9).all(), hits
    assert hits[0] < 200


def test_shares_are_of_the_entropy_of_the_label():
    """A dimension that repeats a class carries all of its entropy."""
    draw = np.random.default_rng(5)
    label = draw.integers(3, size=4000)
    mean = np.stack([label, draw.normal(size=4000)], 1).astype(np.float32)
    found = measure_information(mean, label, True, permutations=20)
    assert found.entropy == pytest.approx(np.log(3), abs=0.01)
    assert found.share == pytest.approx([1, 0], abs=0.01)
    assert [get_star(found, k) for k in (0, 1)] == ["**", ""]
    rare = (np.arange(4000) < 60) * 0.5  # below the first quantile, but no single bin
    found = measure_information(rare[:, None] + mean / 1e3, rare, False, permutations=20)
    assert found.entropy == pytest.approx(0.0779, abs=1e-4)


def test_table_and_figure_name_the_methods_and_hide_no_dimension(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    codes, columns = planted(n=150, d=6)
    draw = np.random.default_rng(6)
    more = codes._replace(
        mean=np.concatenate([codes.mean, draw.normal(size=(150, 24)).astype(np.float32)], 1),
        sd=np.ones((150, 30), np.float32),
        kl=np.tile(np.arange(30, dtype=np.float32), (150, 1)),
    )
    found = associate_labels(more, columns, max_dims=2, permutations=19)
    names = [str(k) for k in range(30)]
    print_associations("title", found, names)
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "kind, accuracy │ logistic regression │ all",
        "size, R² │ ridge regression │ all",
        "15 nearest neighbours │ all",
        "15 nearest neighbours │ first 2 by rate",
        "20 more dimensions of each label in --json.",
        "at least 10 % of the label's entropy",
    ):
        assert part in text
    figure = draw_associations(found, names, "caption")
    left, right, *_ = figure.axes
    rows = [label.get_text().split()[1] for label in left.get_yticklabels()]
    assert rows == [names[k] for k in found.dims_by_information]
    assert {"4", "2"} == {*rows[:2]}  # of low rate
    assert right.get_xticklabels()[0].get_text() == "linear (logistic, ridge), all"
    assert "**: also at least 10 %" in figure.get_suptitle()
    one = draw_associations(found._replace(associations=found.associations[:1]), names, "caption")
    assert "6 dimensions of less information are not shown." in one.get_suptitle()
    width, height = one.get_size_inches()
    assert height < width


def test_the_same_table_every_time():
    codes, columns = planted(n=150)
    first, again = (associate_labels(codes, columns, max_dims=2).to_json() for _ in range(2))
    assert first == again


def test_dead_dimensions_say_nothing():
    codes, columns = planted()
    codes.mean[:, 4] = 0
    found = associate_labels(codes, {"kind": columns["kind"]}, max_dims=1)
    assert found.associations[0].information[4] == pytest.approx(0, abs=1e-12)
    assert found.associations[0].p[4] == 1


def test_kinds_and_what_is_left_out():
    codes, _ = planted(n=100)
    row = np.arange(100)
    given = {
        "few": row % 5,
        "many": row % 30,
        "year": row,
        "id": row,
        "same": 0 * row,
        "bad": np.where(row == 3, np.inf, row).astype(np.float32),
        "pictures": np.zeros((100, 1, 2, 2)),
    }
    found = associate_labels(
        codes, given, {"id": [str(k) for k in row]}, max_dims=1, permutations=19
    )
    assert {r.label: r.kind for r in found.associations} == {
        "few": "class", "many": "number", "year": "number",
    }  # fmt: skip
    assert found.notes == [
        "id is left out: 100 different values in 100 images.",
        "same is left out: 1 different value in 100 images.",
        "bad is left out: it holds infinity.",
    ]


def test_what_cannot_be_related():
    codes, columns = planted(n=100)
    for change, said in (
        ({"max_dims": 0}, "--k is 0; it must be at least 1"),
        ({"permutations": 18}, "--permutations is 18; it must be at least 19"),
    ):
        with pytest.raises(Error, match=said):
            associate_labels(codes, columns, **change)
    with pytest.raises(Error, match=r"have no label columns\. Give labels with --labels"):
        associate_labels(codes, {})
    with pytest.raises(Error, match=r"x is left out: 1 different value in .* Give labels"):
        associate_labels(codes, {"x": np.zeros(100)})
    few = LatentTable(*(each[:19] for each in codes))
    with pytest.raises(Error, match="19 images cannot be related to anything; give at least 20"):
        associate_labels(few, {"kind": columns["kind"][:19]})


def test_images_without_a_label_count_for_the_other_labels_only():
    codes, _ = planted(n=200)
    row = np.arange(200)
    given = {
        "class": np.where(row < 50, -1, row % 3),
        "number": np.where(row >= 120, np.nan, row).astype(np.float32),
        "full": row % 4,
        "rare": np.where(row < 190, np.nan, row),
    }
    classes = {"class": ["a", "b", "c"], "number": None, "full": list("0123"), "rare": None}
    found = associate_labels(codes, given, classes, max_dims=1, permutations=19)
    assert {r.label: (r.kind, r.n) for r in found.associations} == {
        "class": ("class", 150), "number": ("number", 120), "full": ("class", 200),
    }  # fmt: skip
    assert found.notes == ["rare is left out: only 10 images with a value."]
    part = codes._replace(mean=codes.mean[50:])
    (alone,) = associate_labels(
        part, {"class": row[50:] % 3}, {"class": classes["class"]}, max_dims=1, permutations=19
    ).associations
    np.testing.assert_array_equal(alone.information, found.associations[0].information)
