"""What the harness tells the process that draws: one JSON object a line."""

import msgspec


class Line(msgspec.Struct, tag="line", frozen=True):
    """A plain line that stays, above the view."""

    text: str


class Scene(msgspec.Struct, tag="scene", frozen=True, kw_only=True):
    """How the whole sweep stands; sent when that changes.

    Attributes:
        rows: the grid's lines.
        left: the time left, as read when it was sent; empty where it is not known.
    """

    done: int
    total: int
    rows: tuple[str, ...]
    left: str = ""


class Under(msgspec.Struct, tag="under", frozen=True, kw_only=True):
    """What is under way; sent once a second.

    Attributes:
        label: of the point, or of what is waited for.
        figures: current rates, as text.
    """

    label: str
    done_s: float
    expected_s: float
    figures: str = ""


Message = Line | Scene | Under

decode = msgspec.json.Decoder(Message).decode
encode = msgspec.json.Encoder().encode
