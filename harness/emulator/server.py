"""The emulator's HTTP face: OpenAI's completions and vLLM's side doors, in front of a paced engine model.

Runs in a process of its own and is imported by no other part. It reads requests, hands them to the pacer and answers
questions about itself; what a step costs is `model`, what a chunk looks like `wire`, what goes wrong `faults`.
"""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import numpy as np
from aiohttp import web

from harness.emulator.acceptance import NATURAL_RATE, OFF, Speculation
from harness.emulator.answer_writer import AnswerFaults, AnswerWriter
from harness.emulator.batch import Deliveries
from harness.emulator.faults import Faults
from harness.emulator.model import EngineModel
from harness.emulator.pacer import Pacer
from harness.emulator.requests import CompletionRequest, TokenizeRequest
from harness.emulator.sendlog import SendLog, Sent
from harness.emulator.settings import VERSION, Settings
from harness.emulator.toy_tokenizer import Continuation
from harness.emulator.wire import AnswerFormat, error, exposition, whole_answer

KEEP_ALIVE_S = 5.0
"""How long an idle connection is kept: uvicorn's default, which vLLM serves with."""

STOP_S = 1.0
"""Time for open answers to end once the server has been told to stop."""

_OF_OTHERS = ("generation_tokens", "prompt_tokens")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

logger = logging.getLogger(__name__)


class Server:
    """One emulator process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._faults = Faults(settings.faults, time.monotonic)
        self._log = SendLog(settings.send_log)
        self._created = time.time()
        self._answers: dict[int, AnswerWriter] = {}
        self._asked = 0
        self._listener: asyncio.Server | None = None
        self._name = "stranger" if self._faults.configured("stranger") else settings.served_model_name
        self._model = EngineModel(
            settings.profile,
            settings.limits,
            _acted_out(settings.speculation, self._faults),
            seed=settings.seed,
            slowness=self._faults.slowness,
        )
        self._pacer = Pacer(
            self._model, self._deliver, speed=settings.speed, hangs=lambda: self._faults.value("hang") is not None
        )
        self._runner = web.AppRunner(
            self._app(),
            handler_cancellation=True,  # a client that leaves frees its place in the batch
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            shutdown_timeout=STOP_S,
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; open answers then end with finish reason `abort`."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        late = self._faults.configured("slow_start")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), late.value if late else 0)
        if not stop.is_set():
            await self._serve(stop)

    async def _serve(self, stop: asyncio.Event) -> None:
        await self._runner.setup()
        assert self._runner.server is not None
        self._listener = await asyncio.get_running_loop().create_server(
            self._runner.server, self._settings.host, self._settings.port, backlog=4096
        )
        logger.info("serving %s on port %d", self._settings.profile.name, self._settings.port)
        pacing = asyncio.create_task(self._pacer.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({pacing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if pacing.done():
            pacing.result()  # a bug must not look like a server that hangs
        pacing.cancel()
        for answer in list(self._answers.values()):
            answer.abort()
        self._listener.close()
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=2**28)
        app.add_routes(
            [
                web.get("/health", self._good),
                web.get("/version", self._version),
                web.get("/v1/models", self._models),
                web.get("/metrics", self._metrics),
                web.get("/server_info", self._server_info),
                web.post("/tokenize", self._tokenize),
                web.post("/reset_prefix_cache", self._reset_prefix_cache),
                web.post("/v1/completions", self._complete),
                web.post("/v1/chat/completions", self._complete),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the key below /v1, as vLLM does."""
        key = self._settings.api_key
        given = request.headers.get("Authorization", "")
        if key and request.path.startswith("/v1") and not hmac.compare_digest(given, f"Bearer {key}"):
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)

    async def _good(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": self._described()["engine_version"]})

    async def _models(self, _request: web.Request) -> web.Response:
        card = {"id": self._name, "object": "model", "created": int(self._created), "owned_by": "mtpbench"}
        card |= {"root": self._settings.model, "parent": None, "max_model_len": self._settings.limits.context}
        return web.json_response({"object": "list", "data": [card]})

    async def _metrics(self, _request: web.Request) -> web.Response:
        if self._faults.value("no_metrics") is not None:
            return web.Response(text="")
        counters = self._model.counters(time.monotonic_ns())
        drafts = self._settings.speculation.draft_tokens
        if drafts and counters.drafts is None:  # MTP that drafts nothing still has its counters
            none = {"drafts": 0.0, "draft_tokens": 0.0, "accepted_tokens": 0.0}
            counters = msgspec.structs.replace(counters, accepted_per_position=(0.0,) * drafts, **none)
        if (cached := self._faults.configured("cache_prompts")) is not None:
            hits = cached.value * (counters.prompt_tokens or 0.0)
            counters = msgspec.structs.replace(counters, prefix_cache_hits=hits)
        if (others := self._faults.configured("serve_others")) is not None:
            more = {name: (1 + others.value) * (getattr(counters, name) or 0.0) for name in _OF_OTHERS}
            counters = msgspec.structs.replace(counters, **more)
        return web.Response(text=exposition(counters, self._name, self._created))

    async def _reset_prefix_cache(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self._faults.configured("cache_prompts") is None else 404)

    async def _server_info(self, _request: web.Request) -> web.Response:
        return web.json_response(self._described())

    def _described(self) -> dict[str, object]:
        described = self._settings.described()
        if (other := self._faults.configured("other_config")) is not None:
            described |= {"tp": int(other.value), "precision": "other"}
        if self._faults.configured("other_version") is not None:
            described["engine_version"] = f"{VERSION}+other"
        return described

    async def _tokenize(self, request: web.Request) -> web.Response:
        ids = msgspec.json.decode(await request.read(), type=TokenizeRequest).ids
        if self._faults.value("other_tokens") is not None:
            ids = [token + 1 for token in ids]
        context = self._settings.limits.context
        return web.json_response({"count": len(ids), "max_model_len": context, "tokens": ids, "token_strs": None})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if self._faults.begin():
            self._schedule_ends()
        if (status := self._faults.int_value("refuse")) is not None:
            return _refusal("The engine is overloaded.", status, "ServiceUnavailable")
        body = await request.read()
        arrived_ns = time.monotonic_ns()
        try:
            completion = msgspec.json.decode(body, type=CompletionRequest)
        except msgspec.DecodeError as fault:
            return _refusal(str(fault), 400)
        if completion.model != self._name:
            return _refusal(f"The model `{completion.model}` does not exist.", 404, "NotFoundError")
        ids, context = completion.ids, self._settings.limits.context
        if not ids or len(ids) + completion.output_tokens > context:
            message = (
                f"{len(ids)} prompt and {completion.output_tokens} output tokens do not fit max_model_len={context}."
            )
            return _refusal(message, 400)
        return await self._answer(request, completion, ids, arrived_ns)

    async def _answer(
        self, request: web.Request, completion: CompletionRequest, ids: list[int], arrived_ns: int
    ) -> web.StreamResponse:
        number = self._asked
        self._asked += 1
        faults = AnswerFaults.of(
            self._faults, completion, number, drafting=bool(self._settings.speculation.draft_tokens)
        )
        answer_format = self._answer_format(completion, ids, number)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        if completion.stream and not await _prepared(response, request):
            return response
        answer = AnswerWriter(
            answer_format,
            _sent_record(answer_format, completion.output_tokens, arrived_ns),
            Continuation(ids, self._settings.eos, faults.eos_at, faults.turns_at),
            faults,
            request.transport if completion.stream else None,
            self._log,
        )
        reason = await self._worked_on(number, answer, len(ids), faults.last)
        if reason is None and request.transport is not None:
            request.transport.abort()
        if completion.stream:
            return response
        return web.json_response(whole_answer(answer_format, answer.ids, reason or "error"))

    async def _worked_on(self, number: int, answer: AnswerWriter, prompt_tokens: int, max_tokens: int) -> str | None:
        """See an answer through to its end: its finish reason, None where its connection is to be dropped."""
        self._answers[number] = answer
        try:
            self._pacer.submit(number, prompt_tokens, max_tokens)
            return await answer.ended
        finally:
            del self._answers[number]
            answer.gone()
            if answer.sent.end not in ("length", "stop"):
                self._model.abort(number)

    def _answer_format(self, completion: CompletionRequest, ids: list[int], number: int) -> AnswerFormat:
        mute = self._faults.value("no_usage") is not None
        options = completion.stream_options
        return AnswerFormat(
            id=f"{'chatcmpl' if completion.chat else 'cmpl'}-{number:016x}",
            chat=completion.chat,
            model=self._name,
            created=int(time.time()),
            prompt=ids,
            prompt_tokens=len(ids) + (self._faults.int_value("wrong_prompt_tokens") or 0),
            usage=options.include_usage and not mute,
            continuous=options.include_usage and options.continuous_usage_stats and not mute,
            token_ids=completion.return_token_ids,
            fingerprint=f"emulator-{VERSION}",
        )

    def _deliver(self, deliveries: Deliveries) -> None:
        for number, tokens, _ in deliveries:
            if (answer := self._answers.get(number)) is not None:
                answer.deliver(tokens)

    def _schedule_ends(self) -> None:
        """Set the clocks of the faults that take the server away."""
        loop = asyncio.get_running_loop()
        if (die := self._faults.configured("die")) is not None:
            loop.call_later(die.after_s, os._exit, int(die.value))
        if (leave := self._faults.configured("refuse_connections")) is not None:
            loop.call_later(leave.after_s, self._leave)

    def _leave(self) -> None:
        """Stop listening, and drop every connection there is."""
        assert self._listener is not None
        assert self._runner.server is not None
        self._listener.close()
        for connection in self._runner.server.connections:
            connection.force_close()


def _acted_out(asked: Speculation, faults: Faults) -> Speculation:
    """What the draft head really does."""
    if asked.draft_tokens:
        if faults.configured("stop_drafting"):
            return OFF
        if (accept := faults.configured("accept")) is not None:
            asked = Speculation.of_length(asked.draft_tokens, accept.value)
        if (skip := faults.configured("skip_drafts")) is not None:
            return replace(asked, active=1 - skip.value)
    elif (drafts := faults.configured("draft_in_off")) is not None:
        return Speculation(int(drafts.value), NATURAL_RATE)
    return asked


async def _prepared(response: web.StreamResponse, request: web.Request) -> bool:
    """Begin a streamed response; False where the client has left before its answer began."""
    response.enable_chunked_encoding()
    try:
        await response.prepare(request)
    except ConnectionResetError:
        return False
    return True


def _sent_record(answer_format: AnswerFormat, max_tokens: int, arrived_ns: int) -> Sent:
    """The send log's record of a request of which nothing has been sent."""
    ids = answer_format.prompt
    return Sent(
        id=answer_format.id,
        prompt_hash=hashlib.sha256(np.array(ids, "<i4").tobytes()).hexdigest()[:16],
        prompt_tokens=len(ids),
        max_tokens=max_tokens,
        arrived_ns=arrived_ns,
        sent_ns=[],
        tokens=[],
    )


def _refusal(message: str, status: int, kind: str = "BadRequestError") -> web.Response:
    return web.json_response(error(message, status, kind), status=status)
