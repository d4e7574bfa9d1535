"""Every public name is documented in numpydoc sections, and its example runs at toy size."""

import doctest
import inspect
from itertools import pairwise

import pytest

import latentia
from latentia.training.step_times import StepTimes

CLASS_SECTIONS = {"Parameters", "Examples"}
FUNCTION_SECTIONS = {"Parameters", "Returns", "Raises", "Examples"}
RAISES_NOTHING = {"list_recipes", "with_data", "diagnose"}
METHODS = [
    name
    for name, value in inspect.getmembers(latentia.Run)
    if name[0] != "_" and inspect.isfunction(value)
]


def run_example(public):
    """Run the example in a docstring, and return its number of lines."""
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(public, public.__name__, module=False, globs={})
    lines = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=lines.append)
    assert result.failed == 0, "".join(lines)
    return result.attempted


@pytest.fixture(scope="module", autouse=True)
def folder_with_a_run(tmp_path_factory):
    """The examples share a folder; that of `train` writes the run that others open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("examples"))
        times = StepTimes(0.0, 30.0, 0.0, 0.0)  # the minute of `fit` has one epoch
        patch.setattr("latentia.api.epochs.measure_step_times", lambda *_: times)
        assert run_example(latentia.train) > 0
        yield


def test_there_are_names_for_what_a_user_does():
    assert len(latentia.__all__) >= 35
    assert len(METHODS) >= 20


def find_public(name):
    return getattr(latentia.Run if name in METHODS else latentia, name)


@pytest.mark.parametrize("name", [*latentia.__all__, *METHODS])
def test_every_public_name_has_the_sections_of_a_public_docstring(name):
    public = find_public(name)
    lines = inspect.getdoc(public).splitlines()
    rules = {head for head, rule in pairwise(lines) if rule == "-" * len(head)}
    expected = CLASS_SECTIONS if inspect.isclass(public) else FUNCTION_SECTIONS
    absent = {"Raises"} if name in RAISES_NOTHING else set()
    if not inspect.isclass(public) and not {*inspect.signature(public).parameters} - {"self"}:
        absent |= {"Parameters"}
    assert expected - rules <= absent
    assert lines[0].endswith(".")


@pytest.mark.usefixtures("fresh_registries")
@pytest.mark.parametrize("name", [n for n in [*latentia.__all__, *METHODS] if n != "train"])
def test_the_example_of_every_public_name_runs(name):
    assert run_example(find_public(name)) > 0


def test_all_names_only_what_exists_and_an_unknown_name_is_an_attribute_error():
    assert all(hasattr(latentia, name) for name in latentia.__all__)
    assert len({*latentia.__all__}) == len(latentia.__all__)
    assert {*latentia.__all__} <= {*dir(latentia)}
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        latentia.tarin  # noqa: B018
