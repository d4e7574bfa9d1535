"""Toy trainings, made once, and what the reference commit made of them."""

import fcntl
import hashlib
import json
import tempfile
from pathlib import Path

import pytest

import golden


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The run of a case, trained when it is first asked for."""
    folder = tmp_path_factory.mktemp("golden")

    def make(case):
        return folder / case if (folder / case).exists() else golden.train(folder, case)

    return make


@pytest.fixture(scope="session")
def check_bits(request):
    """Compare a result with the stored one of this machine, else with the reference commit's.

    Where neither is to be had, the test is skipped. A stored entry that differs is no failure if
    the reference commit, run here, differs from it too: then the key does not tell two machines
    apart.
    """
    stored = json.loads((golden.HERE / "machines.json").read_text()).get(golden.machine())

    def check(name, found):
        if stored and found == stored.get(name):
            return
        made = _made_here(request.config.cache.mkdir("golden"))
        if made is None and not stored:
            pytest.skip(
                f"no entry for {golden.machine()}, and git does not have {golden.REFERENCE}"
            )
        assert found == (made or stored)[name]

    return check


def _made_here(folder):
    """The entry of this machine by the reference commit, once in all tests and processes."""
    code = (golden.HERE / "golden.py").read_bytes() + golden.machine().encode()
    file = folder / f"{hashlib.sha256(code).hexdigest()[:16]}.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            with tempfile.TemporaryDirectory() as name:
                file.write_text(json.dumps(golden.reference(Path(name))))
    return json.loads(file.read_text())
