import pytest

from harness.load.sse import Event, EventStream


def events(text: bytes) -> list[Event]:
    return EventStream().feed(text)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_any_line_end_ends_a_line(end):
    text = end.join([b"data: one", b"", b"data: two", b"", b""])

    assert [(b"message", b"one"), (b"message", b"two")] == events(text)


def test_lines_of_data_are_joined():
    assert [(b"message", b'{"a":\n1}')] == events(b'data: {"a":\ndata: 1}\n\n')


def test_one_space_after_the_colon_is_not_data():
    assert [(b"message", b"x"), (b"message", b" x")] == events(b"data:x\n\ndata:  x\n\n")


def test_comments_ids_and_retries_say_nothing():
    assert [(b"message", b"x")] == events(b": ping\n\nid: 7\nretry: 5\n: again\ndata: x\n\n")


def test_an_event_keeps_its_name_and_the_next_one_does_not_inherit_it():
    assert [(b"error", b"x"), (b"message", b"y")] == events(b"event: error\ndata: x\n\ndata: y\n\n")


def test_an_event_without_data_is_none():
    assert [] == events(b"event: ping\n\n")


def test_an_unfinished_event_waits():
    stream = EventStream()

    assert [] == stream.feed(b"data: half")
    assert [] == stream.feed(b" done\n")
    assert [(b"message", b"half done")] == stream.feed(b"\n")


def test_a_line_feed_that_comes_late_belongs_to_its_carriage_return():
    stream = EventStream()

    assert [] == stream.feed(b"data: x\r")
    assert [(b"message", b"x")] == stream.feed(b"\n\r")
    assert [] == stream.feed(b"\n")


def test_a_byte_order_mark_is_skipped_even_in_pieces():
    stream = EventStream()

    assert [] == stream.feed(b"\xef\xbb")
    assert [(b"message", b"x")] == stream.feed(b"\xbfdata: x\n\n")
