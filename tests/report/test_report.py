"""The report is legible by day and by night."""

import re
from pathlib import Path

from latentia.report import page
from legible import contrast

HEX = re.compile(r"#[0-9a-f]{3,6}\b")


def test_every_colour_has_one_for_the_dark():
    """But for the card on which figures lie, whose ink stays dark."""
    style = (Path(page.__file__).parent / "page.html").read_text().split("</style>")[0]
    roots = re.findall(r":root \{(.*?)\}", style, re.S)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+)", each)) for each in roots)
    assert light.keys() == dark.keys() > {"ink", "paper"}
    for colours in ({k: shares(v) for k, v in each.items()} for each in (light, dark)):
        for ground in ("paper", "code", "warning-paper", "error-paper", "note-paper"):
            assert contrast(colours["ink"], colours[ground]) > 7, ground  # WCAG's AAA
        assert contrast(colours["soft"], colours["paper"]) > 4.5  # AA
    assert contrast(shares(light["paper"]), shares(dark["paper"])) > 15
    for each in roots:
        style = style.replace(each, "")
    assert HEX.findall(style) == ["#fff"]


def shares(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * d for d in colour[1:])
    return [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
