"""Write the table of findings from the checks: `python docs/findings.py`."""

import re
from pathlib import Path

PAGE = Path(__file__).parent / "doctor.md"


def table() -> str:
    from latentia.diagnostics.diagnose import CHECKS

    heads = ["finding", "evidence", "threshold", "suggested change"]
    rows = [heads, ["---"] * len(heads)]
    for check in CHECKS:
        kind = f"{check.kind} (early)" if check.early else check.kind
        rows.append([kind, check.evidence, check.threshold, check.advice])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def page(text: str) -> str:
    made = f"<!-- findings -->\n{table()}\n<!-- end -->"
    return re.sub(r"<!-- findings -->.*?<!-- end -->", lambda _: made, text, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
