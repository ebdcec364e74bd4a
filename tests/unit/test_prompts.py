import hashlib
import math
from itertools import pairwise

import numpy as np
import pytest

from harness.errors import UserError
from harness.prompts import FIRST_BLOCK, Frame, PromptStream, build, find_frame
from harness.spec import Workload

HEAD, TAIL, BOS = [1001, 1002, 1003], [1004], [1000]
FRAME = Frame((1001, 1002), (1004,))


async def tokenize(text: str, *, chat: bool) -> list[int]:
    """A tokenizer with a token a character, a start token for plain text, and a chat template."""
    ids = [ord(character) % 997 for character in text]
    return [*BOS, *HEAD, *ids, *TAIL] if chat else [*BOS, *ids]


def workload(**changes) -> Workload:
    return Workload(**({"name": "w", "isl": 100, "osl": 50} | changes))


def text_ids(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, count).astype(np.int32)


def stream(ids=None, frame=FRAME, **changes) -> PromptStream:
    ids = text_ids(5000) if ids is None else np.asarray(ids, np.int32)
    return PromptStream(workload(**changes), frame, ids, "sha")


async def test_a_chat_template_is_what_two_probes_share():
    assert Frame((*BOS, *HEAD), (*TAIL,)) == await find_frame(tokenize, chat=True)
    assert Frame((*BOS,), ()) == await find_frame(tokenize, chat=False)


async def test_every_prompt_has_exactly_the_isl_inside_the_template():
    prompts = await build(workload(), tokenize, chat=True)
    for index in range(200):
        ids = prompts.request(index).ids
        assert 100 == len(ids)
        assert ([*BOS, *HEAD], TAIL) == (ids[:4], ids[-1:])
        assert not {*BOS, *HEAD, *TAIL} & set(ids[4:-1])


async def test_a_model_without_chat_gets_plain_text():
    ids = (await build(workload(), tokenize, chat=False)).request(7).ids

    assert BOS == ids[:1]
    assert not {*HEAD, *TAIL} & set(ids)


async def test_prompts_are_slices_of_the_text(tmp_path):
    text = "".join(f"{number} green bottles hanging on wall {number * 7919}\n" for number in range(1000))
    (tmp_path / "song.txt").write_text(text)
    prompts = await build(workload(source=str(tmp_path / "song.txt")), tokenize, chat=True)

    for index in range(-8, 100):
        body = "".join(chr(token) for token in prompts.request(index).ids[4:-1])
        assert body in text + text


async def test_a_text_shorter_than_one_prompt_is_refused(tmp_path):
    (tmp_path / "short.txt").write_text("too short")

    with pytest.raises(UserError, match=r"short.txt has 9 tokens, a prompt needs 95"):
        await build(workload(source=str(tmp_path / "short.txt")), tokenize, chat=True)


async def test_an_isl_that_the_template_fills_is_refused():
    with pytest.raises(UserError, match="chat template alone takes 5"):
        await build(workload(isl=5), tokenize, chat=True)


def first_blocks(prompts: PromptStream, count: int) -> set[tuple[int, ...]]:
    return {tuple(prompts.request(index).ids[2 : 2 + FIRST_BLOCK]) for index in range(count)}


def test_no_two_prompts_begin_alike_until_the_text_is_used_up():
    prompts = stream(text_ids(3000))

    assert 3000 == prompts.distinct == len(first_blocks(prompts, 3000))
    assert prompts.request(0).ids == prompts.request(3000).ids


def test_places_that_read_alike_are_used_once():
    once = text_ids(400)
    prompts = stream(np.concatenate([once, once, once]))

    assert 400 == prompts.distinct == len(first_blocks(prompts, prompts.distinct))


def test_starters_begin_like_no_early_request():
    prompts = stream()
    starters = {tuple(prompts.starter(slot, 64).ids[2 : 2 + FIRST_BLOCK]) for slot in range(64)}

    assert 64 == len(starters)
    assert not starters & first_blocks(prompts, 4900)


def test_requests_spread_evenly_over_the_text():
    ids = np.arange(8000, dtype=np.int32)
    starts = sorted(stream(ids).request(index).ids[2] for index in range(80))

    assert max(b - a for a, b in pairwise(starts)) < 2.5 * 8000 / 80


def test_the_same_seed_gives_the_same_prompts_and_another_seed_others():
    one, same, other = stream(seed=3), stream(seed=3), stream(seed=4)

    assert one.request(5) == same.request(5)
    assert one.hash == same.hash
    assert one.request(5).ids != other.request(5).ids
    assert one.hash != other.hash


@pytest.mark.parametrize(
    "changed",
    [
        {"isl": 101},
        {"osl": 51},
        {"length_ratio": 0.8},
        {"source": "random"},
        {"frame": Frame((1001, 1003), (1004,))},
        {"frame": Frame((1001,), (1002, 1004))},
        {"ids": text_ids(5000, seed=2)},
    ],
    ids=str,
)
def test_the_streams_hash_follows_everything_that_shapes_it(changed):
    assert stream().hash != stream(**changed).hash


def test_sampling_and_names_are_not_part_of_the_stream():
    assert stream().hash == stream(name="other", length="natural").hash


def test_a_prompts_hash_is_of_its_ids():
    prompt = stream().request(4)

    assert hashlib.sha256(np.array(prompt.ids, "<i4").tobytes()).hexdigest()[:16] == prompt.hash


def test_lengths_are_exact_without_a_ratio():
    lengths = {(len(prompt.ids), prompt.osl) for prompt in map(stream().request, range(300))}

    assert {(100, 50)} == lengths


def test_a_ratio_spreads_both_lengths_evenly_and_independently():
    prompts = [stream(length_ratio=0.8).request(index) for index in range(2000)]
    isl = np.array([len(prompt.ids) for prompt in prompts])
    osl = np.array([prompt.osl for prompt in prompts])

    assert (80, 100, 40, 50) == (isl.min(), isl.max(), osl.min(), osl.max())
    assert 90 == pytest.approx(isl.mean(), abs=0.6)
    assert 45 == pytest.approx(osl.mean(), abs=0.3)
    assert abs(np.corrcoef(isl, osl)[0, 1]) < 0.08


def test_two_output_tokens_are_the_least_that_is_asked_for():
    assert 2 == min(stream(osl=3, length_ratio=0.1).request(index).osl for index in range(100))


@pytest.mark.parametrize("concurrency", [1, 2, 7, 64, 1024])
def test_starters_are_as_long_as_what_is_left_of_a_request_met_at_random(concurrency):
    starters = [stream(osl=50).starter(slot, concurrency) for slot in range(concurrency)]
    lengths = [starter.osl for starter in starters]

    assert [-(slot + 1) for slot in range(concurrency)] == [starter.index for starter in starters]
    assert sorted(lengths) == lengths
    assert 1 <= lengths[0]
    assert lengths[-1] <= 50
    gaps = np.diff([0, *lengths]) if concurrency > 1 else np.zeros(1)
    assert gaps.max() <= math.ceil(50 / concurrency) + 1


def test_starters_are_the_same_for_both_arms_and_move_with_the_seed():
    lengths = [stream(seed=seed, osl=5000).starter(3, 8).osl for seed in (1, 1, 2)]

    assert lengths[0] == lengths[1] != lengths[2]


def test_random_prompts_are_ids_that_occur_in_text_and_never_repeat():
    ids = text_ids(5000)
    prompts = [stream(ids, source="random").request(index) for index in range(-3, 500)]
    bodies = {tuple(prompt.ids[2:-1]) for prompt in prompts}

    assert 503 == len(bodies)
    assert {token for body in bodies for token in body} <= set(ids.tolist())


def test_a_random_stream_needs_no_long_text():
    assert 100 == len(stream(text_ids(20), source="random").request(0).ids)


def test_how_often_the_text_is_gone_through_is_known():
    assert 2.0 == stream(text_ids(9700)).facts(200)["corpus_used"]


async def test_the_builtin_text_serves_thousands_of_distinct_prompts():
    prompts = await build(workload(), tokenize, chat=True)

    assert prompts.distinct > 100_000
    assert prompts.distinct <= prompts.facts(0)["corpus_tokens"]
