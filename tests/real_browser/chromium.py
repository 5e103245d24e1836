"""Debian's Chromium without a window, driven over the DevTools protocol through a pipe: no port, no driver, no package.

Only what the tests need of it. Chromium reads commands from descriptor 3 and answers on 4, JSON ended by NUL
(`--remote-debugging-pipe`); https://chromedevtools.github.io/devtools-protocol/ says what there is.
"""

import base64
import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.real_slurm.packages import install_packages, missing

PACKAGES = ("chromium", "fonts-liberation")
ANSWERS_WITHIN_S = 30.0
KEYS = {
    "Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "ArrowDown": (40, ""), "ArrowUp": (38, ""),
}  # fmt: skip


def install() -> None:
    """Install Chromium unless it is there.

    Raises:
        RuntimeError: it is not there and cannot be installed.
    """
    if absent := missing(["chromium"]):
        install_packages(PACKAGES, for_want_of=absent)


class Chromium:
    """One browser with one page; what its console said is kept."""

    def __init__(self, folder: Path) -> None:
        """Start it with a profile of its own in this folder."""
        to_us, from_it = os.pipe()
        to_it, from_us = os.pipe()
        options = (
            "--headless=new", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
            "--disable-background-networking", "--disable-component-update", "--no-default-browser-check",
            "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}",
            *(("--no-sandbox",) if os.geteuid() == 0 else ()), "about:blank",
        )  # fmt: skip
        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", f'exec chromium "$@" 3<&{to_it} 4>&{from_it}', "chromium", *options],
                pass_fds=(to_it, from_it), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"HOME": str(folder)}, start_new_session=True,
            )  # fmt: skip
        os.close(to_it)
        os.close(from_it)
        self._read, self._write = to_us, from_us
        self._buffer, self._number, self._session, self._loaded = b"", 0, None, False
        self.console: list[str] = []  # errors and warnings, and what the policy refused
        self.dialogs: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What the browser answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + ANSWERS_WITHIN_S
        while True:
            said = self._next(until)
            if said.get("id") == message["id"]:
                assert "error" not in said, (method, said["error"])
                return said["result"]
            self._note(said)

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            read = os.read(self._read, 1 << 20)
            assert read, "the browser has ended"
            self._buffer += read
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, said: dict[str, Any]) -> None:
        method, params = said.get("method"), said.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.console.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.console.append(params["entry"]["text"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self._load("Page.navigate", url=url)

    def reload(self) -> None:
        self._load("Page.reload")

    def _load(self, method: str, **params: str) -> None:
        self._loaded = False
        self.call(method, **params)
        until = time.monotonic() + ANSWERS_WITHIN_S
        while not self._loaded:
            self._note(self._next(until))

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the page in CSS pixels, and the colours that the reader prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, script: str, *, within_s: float = 10.0) -> None:
        """Until the expression is true in the page."""
        until = time.monotonic() + within_s
        while not self.evaluate(f"Boolean({script})"):
            assert time.monotonic() < until, f"not true within {within_s} s: {script}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press and release these keys, one after the other, as a keyboard would."""
        for key in keys:
            code, text = KEYS.get(key, (ord(key[0].upper()), key))
            names = {"key": key, "code": key if len(key) > 1 else f"Key{key.upper()}", "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **names)
            self.call("Input.dispatchKeyEvent", type="keyUp", **names)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        done = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(done["data"]))

    def close(self) -> None:
        """End it, with everything that it started."""
        with suppress(AssertionError, OSError):
            self._session = None
            self.call("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for descriptor in (self._read, self._write):
            os.close(descriptor)
