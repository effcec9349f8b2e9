"""Who holds the tablet: goes through a session page by page, and remembers what was sent.

At every step the seed says whether something goes wrong at the device itself, what, and when.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from playwright.async_api import ElementHandle, Error
from tqdm import tqdm

from sessions_app.views.run.steps import TOO_EARLY
from tests.chaos.device import Device
from tests.chaos.ledger import Difference, Ledger

# The share of all steps at which it happens.
MISHAPS: Mapping[str, float] = {
    "reload": 0.06,
    "kill the tab": 0.05,
    "kill the browser": 0.01,
    "go offline": 0.05,
    "expire the sign-in": 0.03,
}
MOMENTS = ("before", "half typed", "just sent", "waiting")
# Seconds without any new step after which a session counts as stuck: ten times what an error page in place of
# the sign-in costs, and that may come again and again.
PATIENCE = 240.0
HANGS = 100.0  # seconds for one turn, longer than all the waits in it
OUTCOME = 20.0  # seconds for a page to say what became of what was sent
PLAYED = (
    0.15  # the share of segments that are played to their end; the others are left by "The player is stuck"
)
SEEN = """() => {
  if (document.readyState !== "complete") return null;
  const form = document.getElementById("step-form");
  const [, session = "", step = ""] = location.pathname.match(/^\\/run\\/([^/]+)\\/(.*?)\\/?$/) ?? [];
  const says = (id) => document.getElementById(id)?.textContent.trim() ?? "";
  return {
    ours: document.body?.dataset.session === session ? session : "",
    opened: performance.timeOrigin,
    step,
    form: Boolean(form),
    locked: Boolean(form) && [...form.elements].some((e) => e.getAttribute("aria-disabled") === "true"),
    login: Boolean(document.querySelector("input[name=username]")),
    state: says("save-state"),
    signed_out: says("outbox-note").includes("You are signed out."),
    errors: document.querySelector(".errors")?.textContent.trim() ?? "",
  };
}"""
BEFORE = "() => [performance.timeOrigin, document.getElementById('save-state')?.textContent ?? '']"
KEPT = re.compile(r"On this device, \d+ waiting")


@dataclass(frozen=True)
class Seen:
    """What the page shows: `ours` is the session whose page it is, or nothing; `opened` tells pages apart."""

    ours: str = ""
    opened: float = 0.0
    step: str = ""
    form: bool = False
    locked: bool = False
    login: bool = False
    state: str = ""
    signed_out: bool = False
    errors: str = ""


@dataclass
class Person:
    device: Device
    url: str
    account: Mapping[str, str]
    expire: Callable[[str], None]  # the web session with this key, at the server
    seed: str
    offline_seconds: float
    counted: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    broken: list[Difference] = field(default_factory=list)
    answered: Callable[[], None] = lambda: None

    # --- a session

    async def live(self, ledger: Ledger) -> None:
        """The session to its end."""
        self.ledger, self.over = ledger, False
        self.begun, self.moved_at, self.back_at = time.monotonic(), time.monotonic(), 0.0
        self.mishaps: dict[str, tuple[str, str]] = {}
        self.left = 0  # on the device, when the last page was there
        while not self.over:
            if time.monotonic() - self.moved_at > PATIENCE:
                return self._break("stuck", "".join([*ledger.sent][-1:]), "nothing helps")
            try:
                async with asyncio.timeout(HANGS):
                    await self._turn()
            except TimeoutError:
                await self._restart()
            except Error as stumble:  # a page that does not load, or goes away meanwhile
                self.note(f"stumbled: {str(stumble).splitlines()[0]}")
                await asyncio.sleep(0.2)

    async def _restart(self) -> None:
        """Of a browser that answers nothing: what it was asked has no time limit of its own."""
        self.note("the browser hangs: it is killed")
        self.counted["kill a browser that hangs"] += 1
        self.device.kill()
        await self.device.switch_on()
        self.moved_at = time.monotonic()

    def note(self, words: str) -> None:
        self.trace.append(f"{time.monotonic() - self.begun:7.2f} {words}")

    async def _turn(self) -> None:
        await self._come_back()
        seen = await self.look()
        if seen.login:
            await self._sign_in(seen.opened)
        elif seen.signed_out:
            await self.device.page.get_by_role("link", name="Sign in again").click()
        elif seen.ours != self.ledger.session:
            await self._open()
        elif seen.step == "done":
            await self._finish()
        elif seen.locked:
            await self._outcome(seen.step, seen.opened)
        elif not seen.form:
            await self._wait_for_question(seen.step)
        elif seen.step in self.ledger.promised:
            await self._asked_again(seen.step)
        else:
            await self._give(seen.step)

    async def look(self) -> Seen:
        """The page, when all of it is there: it may be giving way to another one."""
        until = time.monotonic() + OUTCOME
        while time.monotonic() < until:
            try:
                seen = await self.device.page.evaluate(SEEN)
            except Error as error:
                if "context was destroyed" not in str(error):
                    raise
                seen = None
            if seen:
                return Seen(**seen)
            await asyncio.sleep(0.05)
        return Seen()

    async def _open(self) -> None:
        await self.device.page.goto(f"{self.url}run/{self.ledger.session}/")

    async def _sign_in(self, opened: float) -> None:
        """On the page that was `opened` then; whatever answers, an error page too, is the next turn's."""
        page = self.device.page
        await page.fill("[name=username]", self.account["username"])
        await page.fill("[name=password]", self.account["password"])
        self.note("signs in")
        await page.get_by_role("button", name="Sign in").click()
        until = time.monotonic() + OUTCOME
        while time.monotonic() < until and (await self.look()).opened == opened:
            await asyncio.sleep(0.1)
        self.note(f"is at {page.url} now")

    async def _wait_for_question(self, step: str) -> None:
        """The page goes on by itself; if it does not, a person loads it again."""
        for _ in range(20):
            await asyncio.sleep(0.25)
            seen = await self.look()
            if seen.form or seen.step != step or seen.signed_out:
                return
        self.note(f"{step}: no question comes, loads the page again")
        self.counted["waited in vain for a question"] += 1
        await self.device.page.reload()

    async def _finish(self) -> None:
        """The last page; the session is over when nothing of it is left on the device."""
        left = await self.device.outbox()
        if left:
            if len(left) != self.left:
                self.note(f"done, and {len(left)} on the device: {left}")
                self.left, self.moved_at = len(left), time.monotonic()
            await asyncio.sleep(0.3)
            return
        self.over = True

    # --- a step

    async def _give(self, step: str) -> None:
        """Answer the step and send it, unless something comes in between: then the next turn goes on."""
        what, when = self._mishap(step)
        if when == "before" and await self._strike(step, what):
            return
        # This very form: the page may go on by itself as it finds the answer on the device.
        form = await self.device.page.query_selector("body:has(#step-form)")
        if form is None or f"/{step}/" not in await form.evaluate("() => location.pathname"):
            return
        if when == "half typed":
            await self._fill(form, step, half=True)
            if await self._strike(step, what):
                return
        text = await self._fill(form, step)
        opened, before = await form.evaluate(BEFORE)
        if when == "waiting" and what == "go offline":
            await self._strike(step, what)
        self.note(f"{step}: sends {text!r}")
        if text:
            self.ledger.press(step, text)
        await self._press(form, step)
        if when == "just sent" and await self._strike(step, what):
            return
        await self._outcome(step, opened, alone=not KEPT.search(before))

    async def _outcome(self, step: str, opened: float, *, alone: bool = False) -> None:
        """Wait until the page that was `opened` then goes on; what it says until then is a promise.

        That something waits is one only for what is `alone` there; else it may be said of the answer before.
        """
        until, pause = time.monotonic() + OUTCOME, 0.03
        while time.monotonic() < until:
            await self._come_back()
            seen = await self.look()
            if seen.ours and seen.step != step:
                return self._promise(step, f"went on to {seen.step}")
            if not seen.ours:
                self.note(f"{step}: another page answers")
                return None
            if KEPT.search(seen.state) and (alone or await self._is_kept(step)):
                self._promise(step, "kept")
                what, when = self._mishap(step)
                if when == "waiting" and await self._strike(step, what):
                    return None
            if seen.signed_out or (step in self.ledger.promised and not seen.locked):
                return None  # it is the next turn's to see why this page is here
            if TOO_EARLY in seen.errors and not seen.locked:
                self.note(f"{step}: told that another step is missing, to send it again")
                return None
            if seen.errors and not seen.locked:
                self._break("refused", step, seen.errors)
                return None
            if seen.opened != opened and not seen.locked:
                return self._promise(step, "gave way to a new page of the same step")
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, 0.5)
        self.note(f"{step}: nothing happens, loads the page again")
        self.counted["waited in vain for the next step"] += 1
        await self.device.page.reload()
        return None

    async def _is_kept(self, step: str) -> bool:
        return any(f"/{step}/" in path for path, _ in await self.device.outbox())

    def _promise(self, step: str, why: str) -> None:
        if step in self.ledger.promised:
            return
        self.ledger.promised.add(step)
        self.note(f"{step}: {why}")
        self.moved_at = time.monotonic()
        if step in self.ledger.sent:
            self.answered()

    async def _asked_again(self, step: str) -> None:
        """The page had said that it keeps the answer. It may still be about to find it, or to lead on."""
        deadline = time.monotonic() + OUTCOME
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            seen = await self.look()
            if seen.locked or seen.step != step or not seen.ours:
                return
        left = await self.device.outbox()
        self._break("asked again", step, f"{seen} with {left} on the device")

    def _break(self, kind: str, step: str, told: str) -> None:
        """Nobody trusts this session any more: it is left as it is. Said at once: a storm may last hours."""
        self.over = True
        tqdm.write(f"{self.ledger.session} {step}: {kind}: {told}")
        self.note(f"{step}: BROKEN, {kind}: {told}")
        self.broken.append(Difference(kind, step, self.ledger.sent.get(step, ""), told))

    # --- what is typed and pressed

    async def _fill(self, form: ElementHandle, step: str, *, half: bool = False) -> str:
        """Something that nobody else says; what comes back is how the table should have it."""
        chance = random.Random(f"{self.seed}/{step}")
        words = f"{self.seed} {step}: the river, the wheels und das Öl 🏭 {chance.randrange(10**6)}"
        if step.startswith("segment"):
            return ""
        if step == "format":
            await (await form.wait_for_selector("text=Read it")).click()
            return ""
        if step == "survey":
            for group in await form.query_selector_all("fieldset.field"):
                await (await group.query_selector_all("label"))[1].click()
        if areas := await form.query_selector_all("textarea"):
            await areas[-1].fill(words[: len(words) // 2] if half else words)
            return words
        choices = await form.query_selector_all("label.choice")
        choice = choices[chance.randrange(len(choices))]
        await choice.click()
        return await (await choice.wait_for_selector("input", state="attached")).input_value()

    async def _press(self, form: ElementHandle, step: str) -> None:
        """What is to be pressed is there from the start, if not always enabled or in sight."""
        go_on = await form.wait_for_selector(".action-bar .button.primary")
        if step.startswith("segment"):
            if random.Random(f"{self.seed}/{step}").random() < PLAYED and not await go_on.is_enabled():
                await (await form.wait_for_selector("#play")).click()
            else:
                await (await form.wait_for_selector("text=Something not working?")).click()
                go_on = await form.wait_for_selector("text=The player is stuck")
        await go_on.click()  # once it is enabled

    # --- what goes wrong at the device

    def _mishap(self, step: str) -> tuple[str, str]:
        """What, and when; `nothing`, `never` at most steps, and once it has happened."""
        if step not in self.mishaps:
            chance = random.Random(f"{self.seed}/{step}/mishap")
            names, shares = ["nothing", *MISHAPS], [1 - sum(MISHAPS.values()), *MISHAPS.values()]
            what = chance.choices(names, shares)[0]
            self.mishaps[step] = what, chance.choice(MOMENTS) if what != "nothing" else "never"
        return self.mishaps[step]

    async def _strike(self, step: str, what: str) -> bool:
        """Whether the page is another one now."""
        self.mishaps[step] = "nothing", "never"
        self.note(f"{step}: {what}")
        self.counted[what] += 1
        match what:
            case "reload":
                await self.device.page.reload()
            case "kill the tab":
                await self.device.kill_tab()
            case "kill the browser":
                self.device.kill()
                await self.device.switch_on()
            case "go offline":
                await self.device.set_offline(True)
                self.back_at = time.monotonic() + self.offline_seconds
                return False
            case "expire the sign-in":
                await self._expire()
                return False
        return True

    async def _come_back(self) -> None:
        if self.device.offline and time.monotonic() > self.back_at:
            self.note("online again")
            await self.device.set_offline(False)
            self.moved_at = time.monotonic()

    async def _expire(self) -> None:
        for cookie in await self.device.context.cookies():
            if cookie.get("name", "").endswith("sessionid"):
                self.expire(str(cookie["value"]))
