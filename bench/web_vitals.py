"""Part 6: what pages weigh, and what a slow device on a slow network makes of them.

Chromium as a phone with a processor four times slower, on Lighthouse's slow 4G, with nothing in its cache.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

from sessions_app.domain.session.record import Run
from support import cast
from support.chromium import FLAGS
from support.chromium import find as find_chromium

from . import site as sites
from .browsing import Browser
from .environment import Bench
from .results import Figure, Outcome, Table

SLOWER: Final = 4
# Lighthouse's "slow 4G" (150 ms to the server and back, 1.6 Mbit/s) as it is set in the browser's own tools.
SLOW_4G: Final = {
    "offline": False,
    "latency": 562.5,
    "downloadThroughput": 1474.56 * 1024 / 8,
    "uploadThroughput": 675 * 1024 / 8,
}
PHONE: Final = {"width": 412, "height": 823}
QUIET: Final = 1000  # milliseconds after the page's load event: what moves until then counts
KB: Final = 1024
HTML_KB, RUN_KB, LCP_SECONDS, CLS = 14, 100, 2.5, 0.1
# Largest paint (ms), the largest window of shifts, the longest answer to a touch or key (ms).
VITALS: Final = """() => new Promise((resolve) => {
  const found = { lcp: 0, cls: 0, inp: 0 };
  let window_ = 0, first = 0, last = 0;
  const watch = (type, see, more = {}) =>
    new PerformanceObserver((list) => list.getEntries().forEach(see))
      .observe({ type, buffered: true, ...more });
  watch("largest-contentful-paint", (entry) => { found.lcp = entry.startTime; });
  watch("layout-shift", (entry) => {
    if (entry.hadRecentInput) return;
    const same = entry.startTime - last < 1000 && entry.startTime - first < 5000;
    window_ = same ? window_ + entry.value : entry.value;
    if (!same) first = entry.startTime;
    last = entry.startTime;
    found.cls = Math.max(found.cls, window_);
  });
  watch("event", (entry) => { found.inp = Math.max(found.inp, entry.duration); }, { durationThreshold: 16 });
  setTimeout(() => resolve(found), 100);
})"""
NOTE: Final = (
    f"Chromium, {PHONE['width']} x {PHONE['height']}, processor {SLOWER}x slowed, Lighthouse's slow 4G "
    "(150 ms and 1.6 Mbit/s: 562.5 ms a request, 1,475 kbit/s down and 675 up in the browser), nothing kept "
    "from before. Bytes are those on the network, headers included. The pages that a run keeps for a time "
    "without a network come after its first page and are not in it. Touch: from a tap on the first choice, "
    "field or summary to the next frame."
)
LOOKS_BEFORE: Final = 4  # so that each of two processes has most likely had one
CHART: Final = re.compile(r'(?:src|srcset)="(/dashboards/charts/[^"]+)')
TOUCHED: Final = "label.choice, textarea, summary"
STEPS: Final = (
    ("an item", "baseline/1"),
    ("how to follow", "format"),
    ("a part", "segment-1"),
    ("a question", "questions-1/1"),
    ("the survey", "survey"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A page, and the cookies with which it is opened. Cold: nobody has looked at it before."""

    who: str
    what: str
    path: str
    cookies: dict[str, str]
    cold: bool = False


@dataclass(frozen=True, slots=True)
class Weighed:
    """Bytes as they came over the network, headers included; seconds; the touch in milliseconds or None."""

    place: Place
    html: int
    total: int
    requests: int
    lcp: float
    cls: float
    touch: float | None

    @property
    def is_run(self) -> bool:
        return self.place.who == "student"


def measure(bench: Bench) -> Outcome:
    program = find_chromium()
    if program is None:
        return Outcome(left_out=["There is no Chromium on this machine (CHROMIUM may lead to one)."])
    with sites.site(bench, rows=bench.pick(24, 240)) as running:
        places = _places(bench, running)
        with bench.bar(len(places), "weighing pages", "page") as bar, _chromium(program) as chromium:
            weighed = []
            for place in places:
                if not place.cold:
                    _warm(running.port, place)
                weighed.append(_weigh(chromium, running.url, place, bar.update))
    return Outcome(_figures(weighed), [_table(weighed)])


# --- where to look


def _places(bench: Bench, running: sites.Site) -> list[Place]:
    """Signed in and joined before the browser starts: while its loop runs, Django's ORM cannot be used."""
    steps = bench.pick(STEPS[:3:2], STEPS)
    runs = [_at(step) for _, step in steps]
    places = [
        Place("student", what, path, cookies)
        for (what, _), (path, cookies) in zip(steps, (_as_student(running, run) for run in runs), strict=True)
    ]
    pages = _staff_pages(str(runs[-1].id), str(runs[-1].session.student_id))
    for role, of_role in pages.items():
        browser = sites.signed_in(running.port, role, schools=cast.SCHOOLS)
        chosen = of_role[: bench.pick(1, len(of_role))]
        if role == "researcher":
            what, path = chosen[0]
            places.append(Place(role, f"{what}, its charts not drawn yet", path, dict(browser.cookies), True))
        places += [Place(role, what, path, dict(browser.cookies)) for what, path in chosen]
    return [*places, Place("anyone", "signing in", "/login/", {})]


def _staff_pages(session: str, student: str) -> dict[str, list[tuple[str, str]]]:
    return {
        "facilitator": [
            ("the live board", "/monitor/?realm=simulated"),
            ("home", "/"),
            ("sessions of today", "/sessions/?realm=simulated"),
            ("a session", f"/sessions/{session}/"),
            ("a new session", "/sessions/new/"),
            ("students", "/students/"),
            ("a student", f"/students/{student}/"),
        ],
        "researcher": [
            ("the overview", "/dashboards/?realm=simulated"),
            ("conditions", "/dashboards/conditions/?realm=simulated"),
            ("inference", "/dashboards/inference/?realm=simulated"),
            ("records", "/records/"),
            ("records of sessions", "/records/session/?by=condition&condition=L3-I1-D"),
            ("grading", "/grading/"),
            ("exports", "/exports/"),
        ],
        "irb": [
            ("consents", "/consent/"),
            ("a consent", f"/consent/{student}/"),
            ("the audit log", "/audit/"),
        ],
        "admin": [("schools of staff", "/staff/sites/"), ("accounts", "/admin/")],
    }


def _at(step: str) -> Run:
    run = cast.started("L4-I1-S")
    return run if step == STEPS[0][1] else cast.brought_to(run, step)


def _as_student(running: sites.Site, run: Run) -> tuple[str, dict[str, str]]:
    browser: Browser = sites.joined(running.port, sites.link_to(run))
    return f"/run/{run.id}/", dict(browser.cookies)


# --- looking


def _warm(port: int, place: Place) -> None:
    """Both web processes have made the page and drawn its charts, which they keep until the data change."""
    browser = Browser(port, cookies=dict(place.cookies))
    for _ in range(LOOKS_BEFORE):
        page = browser.open(place.path)
        for chart in CHART.findall(page.html):
            browser.fetch("GET", html.unescape(chart), "a chart")


@contextmanager
def _chromium(program: str) -> Iterator[Chromium]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield running
        finally:
            running.close()


def _weigh(chromium: Chromium, url: str, place: Place, told: Callable[[], Any]) -> Weighed:
    """In a browser of its own that has seen nothing."""
    context = chromium.new_context(viewport=PHONE, is_mobile=True, has_touch=True)  # type: ignore[arg-type]
    try:
        context.add_init_script("delete Navigator.prototype.serviceWorker")  # no pages for later
        context.add_cookies(
            [{"name": name, "value": kept, "url": url} for name, kept in place.cookies.items()]
        )
        page = context.new_page()
        sizes: dict[str, float] = {}
        documents: list[str] = []
        tools = context.new_cdp_session(page)
        tools.on(
            "Network.loadingFinished",
            lambda seen: sizes.update({seen["requestId"]: seen["encodedDataLength"]}),
        )
        tools.on(
            "Network.responseReceived",
            lambda seen: documents.append(seen["requestId"]) if seen["type"] == "Document" else None,
        )
        tools.send("Network.enable")
        tools.send("Network.emulateNetworkConditions", SLOW_4G)
        tools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        answer = page.goto(f"{url.rstrip('/')}{place.path}", wait_until="load")
        if answer is None or not answer.ok or ("/login/" in page.url and place.cookies):
            raise RuntimeError(
                f"{place.who}, {place.what}: {answer.status if answer else 'no answer'} at {page.url}"
            )
        page.wait_for_timeout(QUIET)
        touched = page.query_selector(f"main :is({TOUCHED})")
        if touched is not None:
            touched.tap()
            page.wait_for_timeout(QUIET / 2)
        vitals = page.evaluate(VITALS)
    finally:
        context.close()
        told()
    return Weighed(
        place,
        html=int(sizes[documents[-1]]),
        total=int(sum(sizes.values())),
        requests=len(sizes),
        lcp=round(vitals["lcp"] / 1000, 2),
        cls=round(vitals["cls"], 3),
        touch=round(vitals["inp"]) if touched is not None else None,
    )


# --- figures


def _figures(weighed: list[Weighed]) -> list[Figure]:
    return [
        _worst("first HTML, the heaviest page", weighed, lambda page: page.html / KB, "KB", HTML_KB),
        _worst(
            "a run page in all, the heaviest",
            [page for page in weighed if page.is_run],
            lambda page: page.total / KB,
            "KB",
            RUN_KB,
        ),
        _worst("any page in all, the heaviest", weighed, lambda page: page.total / KB, "KB", None),
        _worst(
            "largest contentful paint, the slowest page",
            [page for page in weighed if not page.place.cold],
            lambda page: page.lcp,
            "s",
            LCP_SECONDS,
        ),
        _worst(
            "largest contentful paint, charts not drawn yet",
            [page for page in weighed if page.place.cold],
            lambda page: page.lcp,
            "s",
            LCP_SECONDS,
        ),
        _worst("layout shift, the most restless page", weighed, lambda page: page.cls, "", CLS),
        _worst(
            "from a touch to the next frame, the slowest", weighed, lambda page: page.touch or 0, "ms", None
        ),
    ]


def _worst(
    what: str, weighed: list[Weighed], of: Callable[[Weighed], float], unit: str, goal: float | None
) -> Figure:
    page = max(weighed, key=of)
    beside = f"{page.place.what} ({page.place.who}), of {len(weighed)} pages"
    return Figure(what=what, value=round(of(page), 3), unit=unit, beside=beside, goal=goal)


def _table(weighed: list[Weighed]) -> Table:
    rows = [
        [
            page.place.who,
            page.place.what,
            round(page.html / KB, 1),
            round(page.total / KB, 1),
            page.requests,
            page.lcp,
            page.cls,
            page.touch,
        ]
        for page in weighed
    ]
    return Table(
        title="Pages on a slow phone",
        columns=("who", "page", "HTML KB", "all KB", "requests", "LCP s", "CLS", "touch ms"),
        rows=rows,
        note=NOTE,
    )
