import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.corpus import LIMIT_CHARS, read_corpus
from harness.errors import UserError


def text_of(corpus) -> str:
    return "".join(corpus.pieces)


def test_builtin_text_is_long_and_the_same_every_time():
    corpus = read_corpus("builtin", "text")

    assert len(text_of(corpus)) > 400_000
    assert read_corpus("builtin", "text").sha256 == corpus.sha256


def test_pieces_hold_the_whole_text_and_end_with_lines(tmp_path):
    text = "".join(f"line {number} of a longer text\n" for number in range(3000))
    (tmp_path / "a.txt").write_text(text)

    corpus = read_corpus(str(tmp_path / "a.txt"), "text")

    assert text == text_of(corpus)
    assert len(corpus.pieces) > 1
    assert all(piece.endswith("\n") for piece in corpus.pieces)


def test_a_text_without_lines_is_cut_all_the_same(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 50_000)

    assert [16_000, 16_000, 16_000, 2_000] == [len(p) for p in read_corpus(str(tmp_path / "a.txt"), "text").pieces]


def test_a_huge_file_is_read_to_the_limit(tmp_path):
    (tmp_path / "a.txt").write_text("word " * (LIMIT_CHARS // 4))

    assert LIMIT_CHARS == len(text_of(read_corpus(str(tmp_path / "a.txt"), "text")))


def test_the_hash_is_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_text("the same text")
    (tmp_path / "b.jsonl").write_text('{"prompt": "the same text"}\n')

    assert read_corpus(str(tmp_path / "a.txt"), "text").sha256 == read_corpus(str(tmp_path / "b.jsonl"), "jsonl").sha256


TURNS = [{"turns": ["How high?", "And how deep?"]}, {"turns": ["Why?"]}]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("jsonl", '{"prompt": "How high?"}\n\n{"text": "And how deep?"}\n{"prompt": "Why?"}\n'),
        ("speedbench", "".join(json.dumps(record) + "\n" for record in TURNS)),
        (
            "sharegpt",
            json.dumps(
                [
                    {"id": "1", "conversations": [{"from": "human", "value": "How high?"}]},
                    {"conversations": [{"value": "And how deep?"}, {"from": "gpt", "value": "Why?"}]},
                ]
            ),
        ),
    ],
)
def test_every_format_gives_its_texts_in_order(tmp_path, kind, content):
    (tmp_path / "file").write_text(content)

    assert "How high?\n\nAnd how deep?\n\nWhy?" == text_of(read_corpus(str(tmp_path / "file"), kind))


def test_speedbench_is_read_from_parquet_too(tmp_path):
    pq.write_table(pa.Table.from_pylist(TURNS), tmp_path / "test.parquet")

    assert "How high?\n\nAnd how deep?\n\nWhy?" == text_of(read_corpus(str(tmp_path / "test.parquet"), "speedbench"))


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("jsonl", b'{"prompt": "a"}\n{"prompt": \n', ":2: not JSON"),
        ("jsonl", b'{"prompt": "a"}\n\n{"question": "b"}\n', ":3: no text under 'prompt' or 'text'"),
        ("jsonl", b'["a"]\n', ":1: a line must be a JSON object"),
        ("jsonl", b"", "no text in it"),
        ("text", b" \n \n", "no text in it"),
        ("text", b"caf\xe9", "not UTF-8"),
        ("sharegpt", b'[{"conversations": []},\n{]', ":2: not JSON"),
        ("sharegpt", b'{"conversations": []}', ":1: a ShareGPT file is one JSON list"),
        ("sharegpt", b'[{"conversations": []}, {"items": []}]', "conversation 2 of 2 has no list"),
        ("sharegpt", b'[{"conversations": [{"from": "human"}]}]', "conversation 1: a turn has no text"),
        ("speedbench", b'{"turns": "one"}\n', ":1: 'turns' must be a list of texts"),
        ("speedbench", b'{"turns": [1]}\n', ":1: 'turns' must be a list of texts"),
    ],
)
def test_a_bad_file_is_named_with_the_place(tmp_path, kind, content, said):
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(UserError) as error:
        read_corpus(str(path), kind)

    assert str(error.value).startswith(str(path))
    assert said in str(error.value)


def test_a_bad_parquet_file_is_named(tmp_path):
    path = tmp_path / "file.parquet"
    path.write_bytes(b"PAR1 not really")

    with pytest.raises(UserError, match="not a parquet file"):
        read_corpus(str(path), "speedbench")


@pytest.mark.parametrize("kind", ["text", "jsonl", "sharegpt", "speedbench"])
def test_a_missing_file_is_named(tmp_path, kind):
    with pytest.raises(UserError, match="nowhere: No such file"):
        read_corpus(str(tmp_path / "nowhere"), kind)
