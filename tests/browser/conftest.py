"""A real Chromium, headless, driven over its own DevTools protocol: no driver and no library beyond aiohttp."""

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)  # fmt: skip
STARTS_WITHIN_S = 60.0
ANSWERS_WITHIN_S = 60.0


class Tab:
    """One page in the browser.

    Attributes:
        errors: uncaught exceptions, console errors, violations of the page's policy.
        requests: addresses that it asked for.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._reader = asyncio.ensure_future(self._read())

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = len(self._asked) + 1
        self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(self._asked[number], ANSWERS_WITHIN_S)

    async def open(self, page: Path, state: str = "") -> None:
        await self._go("about:blank")  # a new # alone would load nothing
        self.errors.clear()
        self.requests.clear()
        await self._go(page.as_uri() + state)

    async def _go(self, address: str) -> None:
        self._loaded.clear()
        await self.ask("Page.navigate", url=address)
        await asyncio.wait_for(self._loaded.wait(), ANSWERS_WITHIN_S)

    async def size(self, width: int, height: int) -> None:
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        found = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]["exception"].get("description")
        return found["result"].get("value")

    async def text(self, selector: str) -> str:
        return str(await self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    async def texts(self, selector: str) -> list[str]:
        return list(await self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)"))

    async def box(self, selector: str) -> tuple[float, float]:
        """The middle of an element on the screen, scrolled to."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.run(f"{found}.scrollIntoView({{block: 'center'}})")
        x, y, width, height = await self.run(
            f"(({{x, y, width, height}}) => [x, y, width, height])({found}.getBoundingClientRect())"
        )
        return x + width / 2, y + height / 2

    async def drag(self, selector: str, by: float) -> None:
        x, y = await self.box(selector)
        await self._mouse("mousePressed", x, y)
        for part in (0.25, 0.5, 0.75, 1):
            await self._mouse("mouseMoved", x + by * part, y)
        await self._mouse("mouseReleased", x + by, y)

    async def hover(self, selector: str) -> None:
        await self._mouse("mouseMoved", *await self.box(selector))

    async def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field, key by key."""
        await self.run(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(selector)}))")
        await self.ask("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    async def choose(self, selector: str, value: str) -> None:
        found = f"document.querySelector({json.dumps(selector)})"
        await self.run(
            f"{found}.value = {json.dumps(value)}; {found}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        )

    async def screenshot(self) -> bytes:
        return base64.b64decode((await self.ask("Page.captureScreenshot"))["data"])

    async def _mouse(self, kind: str, x: float, y: float) -> None:
        held = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseMoved" else {"buttons": 1}
        await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answer(told)
            else:
                self._note(told["method"], told["params"])

    def _answer(self, told: dict[str, Any]) -> None:
        waiting = self._asked[told["id"]]
        if "error" in told:
            waiting.set_exception(AssertionError(told["error"]["message"]))
        else:
            waiting.set_result(told["result"])

    def _note(self, method: str, said: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(said["exceptionDetails"]["exception"].get("description", "an exception"))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(said["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and said["type"] in {"error", "assert"}:
            self.errors.append(str(said["args"]))

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


@pytest.fixture(scope="session")
def chromium() -> str:
    named = os.environ.get("MTPBENCH_CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found, "these tests need Chromium: ./scripts/test installs it where it may, or name one in MTPBENCH_CHROMIUM"
    return found


@pytest.fixture(scope="session")
def devtools(chromium, tmp_path_factory) -> Iterator[str]:
    """Address of a browser's DevTools; the browser is ended with everything that it started."""
    profile = tmp_path_factory.mktemp("profile")
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True) as browser:
        try:
            yield f"http://127.0.0.1:{_port(profile / 'DevToolsActivePort', browser)}"
        finally:
            os.killpg(browser.pid, signal.SIGKILL)


def _port(file: Path, browser: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + STARTS_WITHIN_S
    while not file.exists() or not file.read_text().strip():
        assert browser.poll() is None, f"Chromium ended with {browser.returncode} instead of starting"
        assert time.monotonic() < until, f"Chromium did not start in {STARTS_WITHIN_S:.0f} s"
        time.sleep(0.05)
    return file.read_text().split()[0]


@pytest_asyncio.fixture
async def tab(devtools) -> AsyncIterator[Tab]:
    """A fresh page, closed afterwards."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{devtools}/json/new?about:blank") as made:
            target = await made.json()
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Tab(socket)
            for domain in ("Page", "Runtime", "Network", "Log"):
                await page.ask(f"{domain}.enable")
            await page.size(1280, 900)
            yield page
            await page.close()
        async with session.get(f"{devtools}/json/close/{target['id']}") as closed:
            await closed.read()


@pytest.fixture
def written(tmp_path) -> Callable[[str], Path]:
    """A page on disk, as a reader opens it."""

    def write(text: str) -> Path:
        path = tmp_path / "page.html"
        path.write_text(text)
        return path

    return write
