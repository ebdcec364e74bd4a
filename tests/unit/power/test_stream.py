import pytest

from harness.errors import ResultsError
from harness.power.stream import Device, Header, PowerSample, cut_stream, encode_line, read_stream

DEVICES = tuple(
    Device(gpu=f"GPU-{index}", name="H100", scope="gpu-board", energy_unit_j=1e-3, index=index) for index in range(2)
)
HEADER = Header(
    mtpbench="0", meter="nvidia", versions={}, node="n", boot_id="b", hz=10, t_ns=0, wall_ns=0, devices=DEVICES
)


def sample(sweep: int, gpu: int, **said) -> PowerSample:
    t_ns = sweep * 100_000_000 + gpu
    return PowerSample(gpu=f"GPU-{gpu}", t_ns=t_ns, wall_ns=t_ns, took_us=5, sweep=sweep, late_us=0, **said)


def lines(sweeps: int = 3) -> list[bytes]:
    samples = [sample(sweep, gpu, energy_count=sweep, power_w=300.5) for sweep in range(sweeps) for gpu in range(2)]
    return [encode_line(HEADER), *map(encode_line, samples)]


def stream_of(path, texts):
    path.write_bytes(b"".join(texts))
    return read_stream(path)


def test_a_stream_comes_back_as_it_was_written(tmp_path):
    stream = stream_of(tmp_path / "power.jsonl", lines())

    assert (HEADER, 6, 0) == (stream.header, len(stream.samples), stream.damaged)
    assert sample(2, 1, energy_count=2, power_w=300.5) == stream.samples[-1]


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize("harm", [b"", b"\n", b'{"kind":"sample"}\n'])
def test_a_line_that_was_changed_is_seen(tmp_path, at, harm):
    texts = lines()
    texts[at] = harm or texts[at].replace(b"0", b"1", 1)

    stream = stream_of(tmp_path / "power.jsonl", texts)

    assert stream.damaged or stream.header is None


def test_a_line_that_is_gone_is_seen(tmp_path):
    texts = lines()
    del texts[3]

    assert 1 == stream_of(tmp_path / "power.jsonl", texts).damaged


def test_a_last_line_that_was_being_written_is_no_damage(tmp_path):
    stream = stream_of(tmp_path / "power.jsonl", [*lines(), encode_line(sample(3, 0))[:40]])

    assert (6, 0) == (len(stream.samples), stream.damaged)


def test_another_schema_is_refused(tmp_path):
    texts = [encode_line(HEADER).replace(b"header", b"footer")]
    body = texts[0].rpartition(b',"crc')[0] + b"}"
    import zlib

    texts[0] = body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)

    with pytest.raises(ResultsError, match="not a power stream"):
        stream_of(tmp_path / "power.jsonl", texts)


def test_a_cut_holds_whole_sweeps_and_the_damage_between_them(tmp_path):
    texts = lines(sweeps=10)
    texts[8] = b"spoilt\n"
    (tmp_path / "whole").write_bytes(b"".join(texts))

    cut_stream(tmp_path / "whole", tmp_path / "part", 200_000_001, 500_000_000)

    part = read_stream(tmp_path / "part")
    assert [2, 5] == [part.samples[0].sweep, part.samples[-1].sweep]
    assert (HEADER, 7, 1) == (part.header, len(part.samples), part.damaged)


def test_a_cut_leaves_out_a_last_sweep_that_is_still_being_written(tmp_path):
    (tmp_path / "whole").write_bytes(b"".join(lines(sweeps=10)[:-1]))

    cut_stream(tmp_path / "whole", tmp_path / "part", 500_000_000, 2_000_000_000)

    part = read_stream(tmp_path / "part")
    assert [5, 8] == [part.samples[0].sweep, part.samples[-1].sweep]
    assert 0 == part.damaged
