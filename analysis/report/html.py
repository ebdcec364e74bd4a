"""Data -> one HTML file: markup, style, script and numbers together; nothing is fetched, from anywhere.

What comes from outside enters as JSON in a script element of its own, which the page reads and sets as text. The page's
own policy lets exactly this script and this style run, and no request out.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib import resources

from analysis.report.arms import Plain

SCRIPTS = (
    "maths", "reading", "words", "dom", "state", "scales", "scene", "chart", "pointer", "tables", "panels", "save",
    "main",
)  # fmt: skip
"""In the order in which they need each other."""


def document(data: Plain, title: str, summary: Sequence[tuple[str, str]]) -> str:
    """The page.

    Args:
        data: everything that it shows; finite numbers, and any text.
        title: of the window.
        summary: key and sentence of each comparison, for readers without scripts.
    """
    style = f"\n{_text('page.css')}\n"
    script = "\n".join(["", *(_text(f"{name}.js") for name in SCRIPTS), ""])
    parts = {
        "POLICY": _policy(script, style),
        "TITLE": html.escape(title),
        "STYLE": style,
        "SUMMARY": "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(said)}</dd>" for key, said in summary),
        "DATA": _json(data),
        "SCRIPT": script,
    }
    return re.sub("%([A-Z]+)%", lambda found: parts[found[1]], _text("page.html")) + "\n"


def _text(name: str) -> str:
    return (resources.files("analysis.report") / "page" / name).read_text(encoding="utf-8").strip()


def _json(data: Plain) -> str:
    """JSON that no parser of HTML takes for markup."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
