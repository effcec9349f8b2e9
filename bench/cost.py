"""Part 1: what each action of staff and students costs over HTTP, beside the arithmetic minimum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from django.conf import settings

from sessions_app.domain import flow
from sessions_app.domain.models import connection
from sessions_app.domain.store import keys
from support.bot import Form, Page, answers_to, read
from support.cast import enrolled, signed_in

from .environment import Bench
from .lower_bound import Minimum, Snapshot, least, snapshot
from .meter import Raw, metered
from .results import Figure, Outcome, Table
from .study import Study

WITHIN, ANSWER_UNITS, PAGE_UNITS = 1.5, 6, 4
DETAILED: Final = "L4-I1-D"
GATE: Final = {"latitude": "37.53571", "longitude": "-77.44519", "accuracy": "8"}
ENROLMENT: Final[tuple[dict[str, Any], ...]] = (
    {
        "about-age": "16",
        "about-grade_level": "10",
        "about-school": "Riverside High",
        "about-richmond_resident": "yes",
    },
    {
        "learning-depth_preference": "moderate",
        "learning-learning_style": "visual",
        "learning-prior_knowledge_topics": ["civil_war"],
    },
    {
        "parental_permission-relation": "mother",
        "parental_permission-method": "paper_seen",
        "parental_permission-sharing": "yes",
        "parental_permission-agrees": "yes",
    },
    {"assent-method": "on_screen", "assent-agrees": "yes"},
)
STATISTICS: Final = {"condition_month", "day_counts"}
PAGE: Final = 25
Needed = Callable[[Snapshot], Iterable[Raw]]


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a browser, or one page with the redirects that led to it."""

    name: str
    requests: int
    read: float
    write: float
    minimum: Minimum

    @property
    def units(self) -> float:
        return self.read + self.write

    @property
    def least(self) -> float:
        return self.minimum.read + self.minimum.write

    @property
    def over(self) -> float:
        """Times the minimum, reads and writes each; the larger. Nothing is divided by 0."""
        ratios = [
            used / least
            for used, least in ((self.read, self.minimum.read), (self.write, self.minimum.write))
            if least
        ]
        return max(ratios, default=1)


@dataclass
class Teller:
    """A browser whose every request is measured, with the table before and after it."""

    bench: Bench
    browser: Any
    steps: list[Step] = field(default_factory=list)
    student: str | None = None
    known: Snapshot | None = None

    def get(self, name: str, url: str, needed: Needed, *, latest: bool = False) -> Page:
        return self._measured(name, lambda: self._followed(url), needed, latest)

    def send(self, name: str, page: Page, form: Form, needed: Needed, **answers: Any) -> Page:
        """The form alone: where its answer leads is another request."""
        return self._measured(name, lambda: self._posted(page, form, answers), needed, True)

    def _followed(self, url: str) -> Page:
        """The page itself, with the redirect by which a question's page comes back once it is made."""
        for _ in range(6):
            page = read(url, self.browser.get(url))
            if page.status not in (301, 302):
                return page
            if page.path != urlsplit(url).path:
                break
        raise LookupError(f"{url} redirects to {page.url}")

    def _posted(self, page: Page, form: Form, answers: dict[str, Any]) -> Page:
        response = self.browser.post(form.action, form.filled(answers))
        return read(urljoin(page.url, response.headers.get("Location", form.action)), response)

    def _measured(self, name: str, act: Callable[[], Page], needed: Needed, latest: bool) -> Page:
        before = self.known or self._snapshot()
        with metered(connection().client, plain=self.bench.plain) as meter:
            page = act()
        if page.status >= 400:
            raise LookupError(f"{name}: status {page.status} at {page.url}")
        after = self.known = self._snapshot()  # nobody else writes before the next step
        minimum = least(before, after, consent=self.student, needed=needed(before), latest=latest)
        self.steps.append(Step(name, meter.requests, meter.read, meter.write, minimum))
        return page

    def _snapshot(self) -> Snapshot:
        return snapshot(self.bench.plain, settings.SOCRATIC_TABLE)


def form_with(page: Page, name: str) -> Form:
    return next(form for form in page.forms if name in form.values or name in form.offered)


# --- what has to be read


def nothing(before: Snapshot) -> Iterable[Raw]:
    return ()


def of_types(*names: str) -> Needed:
    """Items of these entities, of people's no more than a list shows."""
    most = None if set(names) & STATISTICS else PAGE
    return lambda before: [item for item in before.values() if item["entity_type"]["S"] in names][:most]


def of_stage(session_id: str, stage: str) -> Needed:
    """METADATA, and the record into which this stage writes."""

    def needed(before: Snapshot) -> Iterable[Raw]:
        for (pk, sk), item in before.items():
            if pk == keys.session(session_id) and (sk == keys.METADATA or _is_of_stage(sk, stage)):
                yield item

    return needed


def _is_of_stage(sk: str, stage: str) -> bool:
    kind, _, segment = stage.partition("-")
    match kind:
        case "baseline" | "final":
            return sk.startswith(keys.assessment_prefix(kind))
        case "questions":
            return sk.startswith(keys.INTERVENTION_PREFIX) and sk.endswith(f"#{segment}")
        case "segment":
            return sk == keys.CONTENT_DELIVERY
    return False


# --- what is done


def measure(bench: Bench) -> Outcome:
    with bench.table():
        staff = _facilitator(bench)
    with bench.table() as name:
        Study.begin(bench, name, whole=True).grow_to(48)
        staff += _researcher(bench)
    sessions = {}
    codes = [f"L4-{interval}-{kind}" for interval in keys.INTERVALS for kind in keys.TYPES]
    codes = bench.pick([DETAILED, "L4-I3-S"], codes)
    with bench.bar(len(codes), "whole sessions over HTTP", "session") as bar:
        for code in codes:
            with bench.table():
                sessions[code] = _session(bench, code)
            bar.update()
    return Outcome(_figures(staff, sessions), [_totals(sessions), *_details(staff, sessions[DETAILED])])


def _facilitator(bench: Bench) -> list[Step]:
    """A morning with one student."""
    here = Teller(bench, signed_in("facilitator"))
    _enrol(here)
    student_id = next(item["student_id"]["S"] for item in of_types("student_profile")(here._snapshot()))
    here.get("students", "/students/", of_types("student_profile"))
    page = here.get("a student", f"/students/{student_id}/", of_types("student_profile", "session"))
    session_id = _start(here, page, student_id)
    here.get("home", "/", nothing)
    here.get("sessions of today", "/sessions/?realm=simulated", of_types("session"))
    here.get("a session", f"/sessions/{session_id}/", lambda before: _partition(before, session_id))
    here.get("live board", "/monitor/?realm=simulated", of_types("session", "assessment"))
    page = here.get(
        "stop a session: the page", f"/sessions/{session_id}/", lambda before: _partition(before, session_id)
    )
    stop = next(form for form in page.forms if form.action.endswith("/stop/"))
    here.student = None
    here.send("stop a session", page, stop, of_stage(session_id, ""), reason="the bell rang")
    return here.steps


def _researcher(bench: Bench) -> list[Step]:
    """What is looked at of a study of 48 sessions."""
    there = Teller(bench, signed_in("researcher"))
    statistics = of_types("condition_month")
    for name, url, needed in (
        ("dashboards: overview", "/dashboards/?realm=simulated", of_types("condition_month", "day_counts")),
        ("dashboards: conditions", "/dashboards/conditions/?realm=simulated", statistics),
        (
            "dashboards: a condition",
            f"/dashboards/conditions/{DETAILED}/?realm=simulated",
            lambda before: _of_condition(before, DETAILED),
        ),
        ("dashboards: locations", "/dashboards/locations/?realm=simulated", statistics),
        ("dashboards: interventions", "/dashboards/interventions/?realm=simulated", statistics),
        ("dashboards: time", "/dashboards/time/?realm=simulated", statistics),
        ("records: sessions", "/records/session/", of_types("session")),
        ("grading", "/grading/", of_types("review")),
    ):
        there.get(name, url, needed)
    return there.steps


def _partition(before: Snapshot, session_id: str) -> list[Raw]:
    return [item for (pk, _), item in before.items() if pk == keys.session(session_id)]


def _of_condition(before: Snapshot, code: str) -> list[Raw]:
    partition = keys.statistics(keys.cell(code, "simulated"))
    return [item for (pk, _), item in before.items() if pk == partition]


def _enrol(here: Teller) -> None:
    page = here.get("onboard: the pages", "/students/new/", nothing)
    for number, answers in enumerate(ENROLMENT, 1):
        last = number == len(ENROLMENT)
        form = form_with(page, next(iter(answers)))
        page = here.send(
            "onboard a student" if last else f"onboard: step {number}", page, form, nothing, **answers
        )


def _start(here: Teller, page: Page, student_id: str) -> str:
    profile = of_types("student_profile")
    code = next(iter(profile(here._snapshot())))["student_code"]["S"]
    here.get("start: who and where", "/sessions/new/", profile)
    url = f"/sessions/new/?code={code}&place=on-site"
    page = here.get("start: the place's check", url, profile)
    here.student = keys.student(student_id)
    needed = of_types("student_profile", "allocation_tally")
    page = here.send("check the place and start", page, form_with(page, "latitude"), needed, **GATE)
    session_id = page.path.split("/")[2]
    page = here.get(
        "hand over: the page", f"/sessions/{session_id}/hand-over/", of_stage(session_id, ""), latest=True
    )
    return session_id


def _session(bench: Bench, code: str) -> list[Step]:
    """A whole session over HTTP, from its start by an admin, who may set the condition."""
    here = Teller(bench, signed_in("admin"))
    student = enrolled()
    here.student = student.PK
    url = f"/sessions/new/?code={student.student_code}&place=home"
    page = read(url, here.browser.get(url))
    told = {"at_home": "on", "condition": code, "condition_reason": "bench"}
    needed = of_types("student_profile", "allocation_tally")
    page = here.send("start", page, form_with(page, "at_home"), needed, **told)
    session_id = page.path.split("/")[2]
    for stage in flow.plan(keys.Condition.from_code(code).interval):
        for number in range(1, stage.steps + 1):
            _step(here, session_id, flow.Step(stage, number))
    here.get("the end", f"/run/{session_id}/done/", of_stage(session_id, ""), latest=True)
    return here.steps


def _step(here: Teller, session_id: str, step: flow.Step) -> None:
    needed, name = of_stage(session_id, step.stage.name), step.slug
    page = here.get(f"{name}: page", f"/run/{session_id}/{name}/", needed, latest=True)
    if step.stage.kind == "segment":
        _checkpoint(here, session_id, name, needed)
    here.send(f"{name}: send", page, page.form(), needed, **answers_to(page, step.number))


def _checkpoint(here: Teller, session_id: str, name: str, needed: Needed) -> None:
    """What the player tells on its way, and its wish to have the next question prepared."""
    counted = {"position": 40, "played": 40, "pauses": 0, "rewinds": 0}
    for what, told in (("progress", counted), ("prepare", {})):
        url = f"/run/{session_id}/{name}/{what}/"
        here._measured(f"{name}: {what}", lambda: read(url, here.browser.post(url, told)), needed, True)  # noqa: B023


# --- what is told


def _is_answer(step: Step) -> bool:
    return step.name.endswith(": send") and step.name.startswith(("baseline", "final", "questions"))


def _is_run_page(step: Step) -> bool:
    return step.name.endswith(": page") and "hand over" not in step.name and "stop" not in step.name


def _figures(staff: list[Step], sessions: dict[str, list[Step]]) -> list[Figure]:
    walked = [step for steps in sessions.values() for step in steps]
    answers = [step for step in walked if _is_answer(step)]
    dearest = max(answers, key=lambda step: step.write)
    heaviest = max((step for step in walked if _is_run_page(step)), key=lambda step: step.read)
    beyond = {step.name for step in staff + walked if step.over > WITHIN}
    within_goal = sum(1 for step in answers if step.write <= ANSWER_UNITS)
    return [
        *(figure for code, steps in sessions.items() for figure in _session_figures(code, steps)),
        Figure(
            what="actions beyond 1.5 x their minimum",
            value=len(beyond),
            unit="actions",
            beside=f"of {len({step.name for step in staff + walked})}",
            goal=0,
        ),
        Figure(
            what="write units to store an answer, the dearest",
            value=dearest.write,
            unit="units",
            beside=f"{dearest.name}; {within_goal} of {len(answers)} answers cost at most {ANSWER_UNITS}",
            goal=ANSWER_UNITS,
        ),
        Figure(
            what="read units of a run page, the heaviest",
            value=heaviest.read,
            unit="units",
            beside=heaviest.name,
            goal=PAGE_UNITS,
        ),
    ]


def _session_figures(code: str, steps: list[Step]) -> Iterator[Figure]:
    for name in ("read", "write"):
        used = sum(getattr(step, name) for step in steps)
        minimum = sum(getattr(step.minimum, name) for step in steps)
        yield Figure(
            what=f"a whole session of {code[3:]}, {name} units over the minimum",
            value=used / minimum,
            unit="x",
            beside=f"{used:g} of {minimum:g}",
            goal=WITHIN,
        )


def _totals(sessions: dict[str, list[Step]]) -> Table:
    return Table(
        title="A whole session, every page seen once and every step sent once",
        columns=("condition", "HTTP", "requests", "read units", "least", "write units", "least"),
        rows=[
            (
                code,
                len(steps),
                sum(step.requests for step in steps),
                sum(step.read for step in steps),
                sum(step.minimum.read for step in steps),
                sum(step.write for step in steps),
                sum(step.minimum.write for step in steps),
            )
            for code, steps in sessions.items()
        ],
    )


def _details(staff: list[Step], session: list[Step]) -> Iterator[Table]:
    for title, steps in (("Actions of staff", staff), (f"Each step of a session of {DETAILED}", session)):
        yield Table(
            title=title,
            columns=(
                "action",
                "requests",
                "read",
                "least",
                "write",
                "least",
                "times",
                "how the least comes about",
            ),
            rows=[
                (
                    step.name,
                    step.requests,
                    step.read,
                    step.minimum.read,
                    step.write,
                    step.minimum.write,
                    round(step.over, 2),
                    step.minimum.derivation,
                )
                for step in steps
            ],
        )


# --- growth


def watch(bench: Bench, study: Study) -> None:
    """What pages cost on the study's table at its present size, for part 7."""
    browser = signed_in("researcher")
    for name, url in (
        ("sessions at a place", "/sessions/?by=place&place=home&realm=simulated"),
        ("dashboards: overview", "/dashboards/?realm=simulated"),
        ("dashboards: a condition", "/dashboards/conditions/L1-I1-D/?realm=simulated"),
        ("records: sessions", "/records/session/"),
    ):
        with metered(connection().client, plain=bench.plain) as meter:
            response = browser.get(url)
        if response.status_code != 200:
            raise LookupError(f"{url}: status {response.status_code}")
        bench.keep("read units of a page", f"{name}, ours", study.size, meter.read)
