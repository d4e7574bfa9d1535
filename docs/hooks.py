"""Hook of the site: code within a sentence breaks between its words, not at hyphens and dots."""

import re
from typing import Any

CODE = re.compile(r"<code>([^<\n]+)</code>")
MAX_LENGTH = 30  # of a word that fits into a line of a telephone


def on_page_content(html: str, **_: Any) -> str:
    """Keep each short word of inline code on one line."""
    return CODE.sub(lambda match: f"<code>{keep_words(match[1])}</code>", html)


def keep_words(code: str) -> str:
    words = code.split(" ")
    style = '<span style="white-space: nowrap">{}</span>'
    return " ".join(style.format(word) if len(word) <= MAX_LENGTH else word for word in words)
