"""A tablet: a Chromium process with a profile on disk, killed as a tablet is when its battery dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

from playwright.async_api import BrowserContext, Page, Playwright

from socratic_site.local import child_process

STARTING = 30.0  # seconds for Chromium to say its port
NAVIGATION = 20_000  # milliseconds, longer than any delay of the network

# The device's storage, past our own modules.
WAITING = """() => new Promise((resolve, refuse) => {
  const opening = indexedDB.open("socratic-benchmarks");
  opening.onerror = refuse;
  opening.onsuccess = () => {
    const base = opening.result;
    const done = (value) => { base.close(); resolve(value); };
    if (!base.objectStoreNames.contains("sent")) return done([]);
    const request = base.transaction("sent", "readonly").objectStore("sent").getAll();
    request.onsuccess = () => done(request.result.map((entry) => [entry.path, entry.refusal?.error ?? null]));
    request.onerror = refuse;
  };
})"""


class Device:
    """`page` is the one tab; `faults` are the errors that its scripts did not catch."""

    def __init__(self, playwright: Playwright, *, chromium: str, flags: list[str], folder: Path) -> None:
        self.playwright, self.chromium, self.flags, self.folder = playwright, chromium, flags, folder
        self.profile = folder / "profile"
        self.faults: list[str] = []
        self.offline = False

    async def switch_on(self) -> None:
        told = self.profile / "DevToolsActivePort"
        told.unlink(missing_ok=True)
        options = ["--headless=new", f"--user-data-dir={self.profile}", "--remote-debugging-port=0"]
        command = [self.chromium, *self.flags, *options, "about:blank"]
        log = self.folder / "chromium.log"
        self.process: subprocess.Popen[bytes] = child_process.spawn(command, log=log, orphaned=signal.SIGKILL)
        async with asyncio.timeout(STARTING):
            while not told.exists() or not (port := told.read_text().partition("\n")[0]):
                await asyncio.sleep(0.05)
        browser = await self.playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        self.context: BrowserContext = browser.contexts[0]
        self.context.set_default_timeout(NAVIGATION)
        self.context.on("weberror", lambda error: self.faults.append(str(error.error)))
        self.page: Page = self.context.pages[0]
        await self.set_offline(False)

    def kill(self) -> None:
        """All its processes at once; nothing is told, nothing is flushed."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    async def kill_tab(self) -> None:
        """The page's process ends; no `pagehide`, no `unload`. One that is giving way is closed."""
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.page.once("crash", lambda _: gone.set_result(None))
        debugger = await self.context.new_cdp_session(self.page)
        crashing = asyncio.ensure_future(debugger.send("Page.crash"))  # answered only where it is refused
        crashing.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait now
        await asyncio.wait([gone, crashing], return_when=asyncio.FIRST_COMPLETED)
        old, self.page = self.page, await self.context.new_page()
        await old.close()
        await asyncio.gather(crashing, return_exceptions=True)

    async def set_offline(self, offline: bool) -> None:
        await self.context.set_offline(offline)
        self.offline = offline

    async def outbox(self) -> list[tuple[str, str | None]]:
        """Addresses that wait on the device, or were refused, and why; a page of the site must be open."""
        kept: list[tuple[str, str | None]] = await self.page.evaluate(WAITING)
        return kept
