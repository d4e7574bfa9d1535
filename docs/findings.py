"""Write the table of findings from the checks: `python docs/findings.py`."""

import re
from pathlib import Path

PAGE = Path(__file__).parent / "reference" / "doctor.md"


def format_table() -> str:
    from latentia.diagnostics.diagnose import CHECKS

    header = ["finding", "evidence", "threshold", "suggested change"]
    rows = [header, ["---"] * len(header)]
    for check in CHECKS:
        kind = f"{check.kind} (early)" if check.early else check.kind
        rows.append([kind, check.evidence, check.threshold, check.advice])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def render_page(text: str) -> str:
    block = f"<!-- findings -->\n{format_table()}\n<!-- end -->"
    return re.sub(r"<!-- findings -->.*?<!-- end -->", lambda _: block, text, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text()))
