"""SECURITY.md: every promise names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_promise_names_its_test():
    text = (ROOT / "SECURITY.md").read_text()
    tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(tests) > 10
    for file, name in tests:
        assert f"def {name}(" in (ROOT / file).read_text(), (file, name)
    for promise in re.split(
        r"\n(?=- |\*\*)|\n\n", re.sub(r"Not promised.*?(?=\n##)", "", text, flags=re.S)
    ):
        if promise.startswith("- "):
            assert "`tests/" in promise, promise
    assert not re.search(r"https?://|@\w+\.\w", text)
