"""The prompt stream: request number -> token ids and output length, the same for both arms of a comparison.

A prompt is the chat template's head, a slice of real text that makes the length exact, and the template's tail. Text
is tokenised by the server that will read it, through a function handed in; nothing here knows engines or sockets.

Prompts of a file are not sent one by one: their texts make one long text, and each request gets the next slice of
it, long enough for the workload's ISL. A request's place in that text follows from the seed and its number alone.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.corpus import Corpus, read_corpus
from harness.errors import UserError
from harness.spec import Workload

FIRST_BLOCK = 16
"""Tokens at the head of the text in which prompts differ from each other: one block of a prefix cache."""

_PROBES = ("Quartz glass bends the light of seven lamps.", "many rivers, 12 bridges; no ferry")
_GOLDEN = (math.sqrt(5) - 1) / 2

Ids = NDArray[np.int32]


class Tokenize(Protocol):
    """The server's own tokenizer."""

    async def __call__(self, text: str, *, chat: bool) -> Sequence[int]:
        """Token ids of `text`, or of one user turn holding it in the model's chat template."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request's content.

    Attributes:
        index: its number; negative for a starter.
        ids: token ids, chat template included.
        osl: output tokens to ask for.
        hash: 16 hex digits of SHA-256 over the ids as little-endian int32.
    """

    index: int
    ids: list[int]
    osl: int
    hash: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The token ids that stand around every text: the chat template's, or a tokenizer's own start and end."""

    head: tuple[int, ...]
    tail: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.head) + len(self.tail)

    def strip(self, ids: Sequence[int]) -> Sequence[int]:
        """The ids without the frame."""
        return ids[len(self.head) : len(ids) - len(self.tail)]


class PromptStream:
    """Request number -> `Prompt`: a pure function of the workload, the tokenised text and the frame.

    Args:
        workload: lengths, seed and source.
        frame: token ids around each text.
        ids: the tokenised text.
        source_sha256: hash of the text itself.

    Attributes:
        hash: 16 hex digits over everything that the stream follows from; equal across arms or not comparable.
        distinct: numbers from which on a prompt's first block may repeat.

    Raises:
        UserError: the text is too short for the ISL, or the ISL too short for the frame.
    """

    def __init__(self, workload: Workload, frame: Frame, ids: Ids, source_sha256: str) -> None:
        self._workload = workload
        self._frame = frame
        self._head, self._tail = np.array(frame.head, np.int32), np.array(frame.tail, np.int32)
        self._ids = ids
        self._random = workload.source == "random"
        self._check()
        self._starts = _distinct_starts(ids)
        self._vocabulary = np.unique(ids)
        self._step = _coprime_near(_GOLDEN * len(self._starts), len(self._starts))
        self._offset = int(_unit(workload.seed, "place", 0) * len(self._starts))
        self._source_sha256 = source_sha256
        self.distinct = 2**31 if self._random else len(self._starts)
        self.hash = self._digest()

    def request(self, index: int) -> Prompt:
        """Request `index` of the stream, 0, 1, 2, ..."""
        return self._prompt(index, self._length(self._workload.osl, "osl", index, shortest=2))

    def starter(self, slot: int, concurrency: int) -> Prompt:
        """The uncounted request that slot `slot` of `concurrency` begins with.

        Its output length is a `residual_life`, moved by the seed, so that requests of equal length do not end all at
        once.
        """
        shift = _unit(self._workload.seed, "start", 0)
        return self._prompt(-(slot + 1), residual_life(self._workload.osl, slot, concurrency, shift))

    def facts(self, requests: int) -> dict[str, object]:
        """What a results folder should say of the stream, after that many requests of it.

        `corpus_used` is how often each token of the text was sent, on average; above 1 text came again.
        """
        text = requests * (self._workload.isl - len(self._frame))
        return {
            "source": self._workload.source,
            "source_sha256": self._source_sha256,
            "seed": self._workload.seed,
            "template_tokens": len(self._frame),
            "corpus_tokens": len(self._ids),
            "corpus_used": round(text / len(self._ids), 3),
            "distinct_prompts": self.distinct,
            "hash": self.hash,
        }

    def _prompt(self, index: int, osl: int) -> Prompt:
        isl = self._length(self._workload.isl, "isl", index, shortest=len(self._frame) + 1)
        text = self._text(index, isl - len(self._frame))
        ids = np.concatenate([self._head, text, self._tail]).astype("<i4")
        return Prompt(index=index, ids=ids.tolist(), osl=osl, hash=hashlib.sha256(ids.tobytes()).hexdigest()[:16])

    def _text(self, index: int, length: int) -> Ids:
        if self._random:
            seeds = (self._workload.seed % 2**32, index % 2**32)
            return np.random.default_rng(seeds).choice(self._vocabulary, length)
        # Multiples of the golden ratio, modulo: each start comes once before any comes again, neighbours in time
        # lie far apart in the text, and any stretch of requests samples all of it evenly.
        start = self._starts[(index * self._step + self._offset) % len(self._starts)]
        return np.take(self._ids, np.arange(start, start + length), mode="wrap")

    def _length(self, longest: int, what: str, index: int, *, shortest: int) -> int:
        """Uniform on [ratio * L, L]; the draws of input and output lengths are independent."""
        least = max(shortest, math.ceil(self._workload.length_ratio * longest))
        return least + int(_unit(self._workload.seed, what, index) * (longest - least + 1))

    def _check(self) -> None:
        workload, frame = self._workload, len(self._frame)
        least = math.ceil(workload.length_ratio * workload.isl)
        if least <= frame:
            raise UserError(
                f"workload {workload.name}: prompts of {least} tokens have no room for text: "
                f"the chat template alone takes {frame}; raise isl"
            )
        if not self._random and len(self._ids) < workload.isl - frame:
            raise UserError(
                f"workload {workload.name}: source {workload.source} has {len(self._ids)} tokens, a prompt needs "
                f"{workload.isl - frame}; name a longer text as source"
            )

    def _digest(self) -> str:
        workload, frame = self._workload, self._frame
        lengths = [workload.isl, workload.osl, workload.length_ratio]
        said = [self._source_sha256, self._random, workload.seed, frame.head, frame.tail, lengths]
        return hashlib.sha256(json.dumps(said).encode() + self._ids.astype("<i4").tobytes()).hexdigest()[:16]


def residual_life(osl: int, slot: int, slots: int, shift: float) -> int:
    """Output length of a slot's first request: the rest of a request of `osl` tokens that is met at a random moment.

    ceil(OSL * (slot + shift) / N), at least 1: spread evenly over the N slots; `shift`, in [0, 1), moves them all.
    """
    return max(1, math.ceil(osl * (slot + shift) / slots))


async def build(workload: Workload, tokenize: Tokenize, *, chat: bool) -> PromptStream:
    """The stream of a workload for one model.

    Args:
        workload: lengths, seed, source.
        tokenize: the server's tokenizer.
        chat: whether prompts stand in the model's chat template.

    Raises:
        UserError: the source can't be read, or is too short.
    """
    corpus = read_corpus(workload.source, workload.format)
    plain = await find_frame(tokenize, chat=False)
    frame = await find_frame(tokenize, chat=True) if chat else plain
    return PromptStream(workload, frame, await _tokens(corpus, tokenize, plain), corpus.sha256)


async def find_frame(tokenize: Tokenize, *, chat: bool) -> Frame:
    """What the tokenizer puts around any text: the common head and tail of two texts that share neither."""
    one, other = [list(await tokenize(probe, chat=chat)) for probe in _PROBES]
    head = _common(one, other)
    rest, other_rest = one[head:], other[head:]
    tail = _common(rest[::-1], other_rest[::-1])
    return Frame(tuple(one[:head]), tuple(rest[len(rest) - tail :]))


async def _tokens(corpus: Corpus, tokenize: Tokenize, plain: Frame) -> Ids:
    parts = [plain.strip(await tokenize(piece, chat=False)) for piece in corpus.pieces]
    return np.concatenate([np.asarray(part, np.int32) for part in parts])


def _common(one: Iterable[int], other: Iterable[int]) -> int:
    """Length of the common beginning."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _distinct_starts(ids: Ids) -> NDArray[np.int64]:
    """Positions, in order, whose next FIRST_BLOCK tokens occur at no earlier position of the (circular) text."""
    windows = np.zeros(len(ids), np.uint64)
    for place in range(FIRST_BLOCK):  # a polynomial hash: 64 bits tell two million windows apart
        windows = windows * np.uint64(0x9E3779B97F4A7C15) + np.roll(ids, -place).astype(np.uint64) + np.uint64(1)
    _, first = np.unique(windows, return_index=True)
    return np.sort(first)


def _coprime_near(value: float, count: int) -> int:
    step = max(1, round(value))
    while math.gcd(step, count) != 1:
        step += 1
    return step


def _unit(seed: int, what: str, index: int) -> float:
    """A number in [0, 1) for a purpose and an index: the same in every version of every library."""
    digest = hashlib.blake2b(f"{seed}:{what}:{index}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
