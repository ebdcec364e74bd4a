"""Python values over a pipe between two processes of one harness: a length, then a pickle.

Both ends run the same code and trust each other; nothing that comes from a server passes here unread.
"""

import asyncio
import pickle
import struct

_LENGTH = struct.Struct("<I")


def frame(value: object) -> bytes:
    """A value as bytes."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


async def next_value(reader: asyncio.StreamReader) -> object:
    """The next value.

    Raises:
        EOFError: the other end has closed the pipe, or died.
    """
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        data = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError from error
    value: object = pickle.loads(data)  # noqa: S301 # our own parent or child said it
    return value
