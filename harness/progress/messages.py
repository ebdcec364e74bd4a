"""What the harness tells the process that draws: one JSON object a line."""

import msgspec


class Line(msgspec.Struct, tag="line", frozen=True):
    """A plain line that stays, above the view."""

    text: str


class SweepState(msgspec.Struct, tag="scene", frozen=True, kw_only=True):
    """How the whole sweep stands; sent when that changes.

    Attributes:
        rows: the grid's lines.
        left: the time left, as read when it was sent; empty where it is not known.
    """

    done: int
    total: int
    rows: tuple[str, ...]
    left: str = ""


class UnderWay(msgspec.Struct, tag="under", frozen=True, kw_only=True):
    """What is under way; sent once a second.

    Attributes:
        label: of the point, or of what is waited for.
        figures: current rates, as text.
        power: the stream that is being written of the server's GPUs, which whoever draws reads; empty for none.
        output_tok_s: over all GPUs; None where it is not known yet.
    """

    label: str
    done_s: float
    expected_s: float
    figures: str = ""
    power: str = ""
    output_tok_s: float | None = None


Message = Line | SweepState | UnderWay

decode = msgspec.json.Decoder(Message).decode
encode = msgspec.json.Encoder().encode
