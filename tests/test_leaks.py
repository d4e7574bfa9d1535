"""A library call leaves the caller's process as it was; only the command may change its own."""

import inspect
import sys
import threading

import pytest

import latentia
from latentia.core import processes
from latentia.engine import recipe

RECIPE = """from __future__ import annotations

import dataclasses

from latentia import recipe


@dataclasses.dataclass
class Rows:
    kind: dataclasses.KW_ONLY
    n: int = 3


@recipe
def mine(data="digits"):
    return Rows()
"""


def test_a_recipe_file_takes_no_name_that_can_be_imported(tmp_path):
    import random

    before = set(sys.modules)
    (tmp_path / "random.py").write_text(RECIPE)
    mine = recipe.find(f"{tmp_path / 'random.py'}:mine")
    assert sys.modules["random"] is random
    (added,) = set(sys.modules) - before
    assert added == mine.__module__
    assert mine().n == 3
    assert inspect.getsource(mine).startswith("@recipe\ndef mine(")
    with pytest.raises(latentia.Error, match=r"has no recipe other; it holds mine\."):
        recipe.find(f"{tmp_path / 'random.py'}:other")


def test_a_recipe_file_that_raises_leaves_no_module(tmp_path):
    before = dict(sys.modules)
    (tmp_path / "random.py").write_text("raise ArithmeticError('of mine')")
    with pytest.raises(ArithmeticError, match="of mine"):
        recipe.find(f"{tmp_path / 'random.py'}:mine")
    assert sys.modules == before


def test_alone_holds_for_one_thread(monkeypatch):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    sizes = []
    with processes.alone():
        sizes.append(processes.size())
        thread = threading.Thread(target=lambda: sizes.append(processes.size()))
        thread.start()
        thread.join()
    assert [*sizes, processes.size()] == [1, 2, 2]
