"""Headless Chromium through its DevTools protocol: real widths, colour schemes, fingers, and every complaint."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
    "--remote-allow-origins=*",
]  # fmt: skip
#: How long anything may take (seconds): a machine under load is slow, never wrong.
PATIENCE = 120


class Browser:
    """One page."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=PATIENCE)
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []
        """Exceptions, console errors and everything that was fetched from elsewhere."""
        self.home = ""
        """Where pages may fetch from: the server that is tested."""
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "CSS"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def close(self) -> None:
        """Leave the browser to itself."""
        self._socket.close()

    def open(self, page: Path | str, *, width: int, dark: bool = False, touch: bool = False) -> None:
        """Open a file, or an address, in a window of this width (CSS pixels)."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self._loaded = False
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        self.wait_for_load()

    def wait_for_load(self) -> None:
        """Wait until a page that was asked for is there."""
        while not self._loaded:
            self._read()
        self._loaded = False

    def until(self, expression: str) -> Any:
        """Wait until a JavaScript expression is true; return its value."""
        end = time.monotonic() + PATIENCE
        while not (found := self.run(expression)):
            assert time.monotonic() < end, expression
            time.sleep(0.05)
        return found

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float, *, to: tuple[float, float] | None = None) -> None:
        """Press the mouse and let it go, there or after moving it elsewhere."""
        end = to or (x, y)
        button = {"button": "left", "clickCount": 1}
        self.move(x, y)
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **button)
        if to:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=to[0], y=to[1], buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], **button)

    def press(self, key: str) -> None:
        """Press a key, by its name as JavaScript tells it."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        more = {"text": text} if text else {}
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32}
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=codes.get(key, 0), **more
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def tap(self, x: float, y: float) -> None:
        """Tap with a finger."""
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def fonts(self, selector: str) -> dict[str, float]:
        """Return the fonts that really drew an element's text, with the number of characters."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        used = self.call("CSS.getPlatformFontsForNode", nodeId=node)["fonts"]
        return {one["familyName"]: one["glyphCount"] for one in used}

    def picture(self, path: Path) -> None:
        """Save the whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))

    def _read(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._socket.recv())
        method, params = answer.get("method"), answer.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown" or (
            method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning")
        ):
            self.complaints.append(json.dumps(params))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            own = self.home and url.startswith(self.home)
            if not own and not url.startswith(("file:", "data:", "about:")):
                self.complaints.append(f"fetches {url}")
        return answer


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own."""
    log = (profile.parent / "chromium.log").open("wb")
    command = ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        ready = profile / "DevToolsActivePort"
        end = time.monotonic() + PATIENCE
        while not (ready.exists() and ready.read_text().count("\n")):
            assert process.poll() is None, log.name
            assert time.monotonic() < end, "chromium does not answer"
            time.sleep(0.1)
        port, path = ready.read_text().splitlines()
        opened = Browser(f"ws://127.0.0.1:{port}{path}")
        try:
            yield opened
        finally:
            opened.close()
    finally:
        process.terminate()
        process.wait(30)
        log.close()
