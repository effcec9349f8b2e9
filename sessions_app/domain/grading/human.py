"""Scores by people. The first human score counts before the model's; a second one, given blind to a sample
of the answers, is kept beside it and changes nothing.

Nothing that was given is lost: the model's scores stay, a second score is final, and only its giver may
change a first one, as long as nobody has scored a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from pynamodb.expressions.update import Action

from .. import scoring
from ..audit import log as audit_log
from ..audit.log import Actor
from ..content.package import Package
from ..models import (
    Assessment,
    AssessmentQuestion,
    HumanScoring,
    Intervention,
    InvalidField,
    Item,
    Question,
    Review,
    ReviewedAnswer,
    Session,
    readable,
)
from ..models.grading_task import WHAT
from ..models.human_scoring import POINTS, in_sample
from ..session.record import Run, SessionNotFound, commit
from ..store import keys
from ..store.items import same_version
from ..store.transactions import Busy, Refused, Transaction
from ..tutor.protocol import ANSWER_SCORES, scores_of
from . import automated as automated_scoring

STEP = 0.5
MIN_SCORE, MAX_SCORE = 1, 5
TRIES = 6
NEIGHBOURS_READ = 10

Part = Literal["first", "second", ""]


class NothingToScore(LookupError):
    """There is no such answer, its session is void, or the model has not scored it yet."""


class NotYours(Exception):
    """The answer takes no score from this person (any more); nothing was stored."""


class ChangedMeanwhile(Exception):
    """Somebody else scored the answer after it was shown; nothing was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What one number is given for, from `least` to `most`, and what each grader gave."""

    name: str
    description: str
    least: float
    most: float
    model: float | None
    human: float | None
    second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer with all that graders said of it. Who may see how much of it is decided by `part_of`."""

    run: Run
    record: Assessment | Intervention
    asked: AssessmentQuestion | Question
    review: Review | None
    what: str
    question: str
    text: str
    answer: str
    criteria: tuple[Criterion, ...]
    sampled: bool

    @property
    def kind(self) -> str:
        return "dialogue" if isinstance(self.record, Intervention) else "short"

    @property
    def mark(self) -> str:
        return mark_of(self.run.id, self.what)

    @property
    def has_model(self) -> bool:
        """Whether the model scored it; otherwise a person is the first to."""
        return any(criterion.model is not None for criterion in self.criteria)

    @property
    def human(self) -> HumanScoring | None:
        scoring: HumanScoring | None = self.asked.human_scoring
        return scoring

    @property
    def second(self) -> HumanScoring | None:
        scoring: HumanScoring | None = self.asked.second_scoring
        return scoring

    def part_of(self, by: str) -> Part:
        """Which score this person may give now."""
        if self.second is not None:
            return ""
        if self.human is None or self.human.by == by:
            return "first"
        return "second" if self.sampled else ""

    def seen_by(self, by: str) -> str:
        """Tells the state that a form was made from, as far as it matters to this person's score."""
        part = self.part_of(by)
        before = self.human if part != "second" else self.second
        told = [part, before and [before.by, keys.stamp(before.at), sorted(before.breakdown.items())]]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def given_by(self, by: str) -> HumanScoring | None:
        return next((given for given in (self.second, self.human) if given and given.by == by), None)


def mark_of(session_id: str, what: str) -> str:
    """Stands in addresses for `baseline`, `final` or a segment, so that graders do not see which it is."""
    return hashlib.sha256(f"{session_id}:{what}".encode()).hexdigest()[:10]


# --- one answer


def load(*, session_id: str, mark: str, question: str, package: Package) -> Answer:
    """One query. Raises NothingToScore."""
    what = next((what for what in WHAT if mark_of(session_id, what) == mark), None)
    if what is None:
        raise NothingToScore(mark)
    try:
        items = Session.whole(session_id)
        run = Run.of(items)
    except (keys.BadKey, SessionNotFound):
        raise NothingToScore(session_id) from None
    if run.session.is_void:
        raise NothingToScore(session_id)
    review = next((item for item in readable(items, Review) if item.what == what), None)
    return _answer(run, review, what, question, package)


def _answer(run: Run, review: Review | None, what: str, question: str, package: Package) -> Answer:
    record = _record(run, what)
    known = review.answer(question) if review else None
    asked: Any = next((each for each in record.questions if _name(each) == question), None)
    if asked is None or not (known or question in map(_name, _scored(record))):
        raise NothingToScore(question)
    is_short = isinstance(asked, AssessmentQuestion)
    return Answer(
        run=run,
        record=record,
        asked=asked,
        review=review,
        what=what,
        question=question,
        text=asked.question_text if is_short else asked.question,
        answer=(asked.student_answer if is_short else asked.answer) or "",
        criteria=tuple(_rubric(asked, package) if is_short else _qualities(asked, record)),
        sampled=bool(known.in_sample) if known else in_sample(run.id, what, question),
    )


def _record(run: Run, what: str) -> Assessment | Intervention:
    record = run.record(what)
    if record is None:
        raise NothingToScore(what)
    return record


def _scored(record: Assessment | Intervention) -> Iterator[Any]:
    """The answers of a record that the model has scored."""
    for asked in record.questions:
        scores = asked.ai_scoring if isinstance(asked, AssessmentQuestion) else asked.quality_scores
        if scores is not None:
            yield asked


def _name(asked: AssessmentQuestion | Question) -> str:
    is_short = isinstance(asked, AssessmentQuestion)
    return str(asked.question_id) if is_short else str(int(asked.question_number))


def _rubric(asked: AssessmentQuestion, package: Package) -> Iterator[Criterion]:
    try:
        rubric = package.item(asked.question_id).rubric
    except KeyError:
        raise NothingToScore(asked.question_id) from None  # of another content package
    graders = (asked.ai_scoring.rubric_breakdown if asked.ai_scoring else {}, *_given(asked))
    for each in rubric:
        model, human, second = (given.get(each.name) for given in graders)
        yield Criterion(
            name=each.name,
            description=each.description,
            least=0,
            most=each.points,
            model=model,
            human=human,
            second=second,
        )


def _qualities(asked: Question, record: Any) -> Iterator[Criterion]:
    """What the model scored; where it gave up, what it would have."""
    graders = (_model_scores(asked), *_given(asked))
    is_dynamic = record.is_dynamic and asked.question_source != "static_fallback"
    scored = graders[0] or scores_of(int(asked.question_number) - 1, is_dynamic=is_dynamic)
    for name in sorted(scored, key=_by_subject):
        model, human, second = (given.get(name) for given in graders)
        yield Criterion(
            name=name,
            description="",
            least=MIN_SCORE,
            most=MAX_SCORE,
            model=model,
            human=human,
            second=second,
        )


def _given(asked: AssessmentQuestion | Question) -> list[dict[str, float]]:
    """What people gave, first and second."""
    return [given.breakdown if given else {} for given in (asked.human_scoring, asked.second_scoring)]


def _model_scores(asked: Question) -> dict[str, float]:
    scores: Any = asked.model_scores
    human: HumanScoring | None = asked.human_scoring
    if scores is None and human is None:
        scores = asked.quality_scores
    if scores is None:
        return {}
    known = {name: getattr(scores, name) for name in sorted(scores.get_attributes(), key=_by_subject)}
    return {name: value for name, value in known.items() if value is not None}


def _by_subject(name: str) -> tuple[bool, str]:
    """The scores of the answer before those of the question."""
    return name not in ANSWER_SCORES, name


# --- scoring


def score(
    *,
    session_id: str,
    mark: str,
    question: str,
    breakdown: Mapping[str, float],
    note: str,
    by: Actor,
    seen: str,
    package: Package,
    now: datetime,
) -> Answer:
    """Store what a person gives to an answer, as its first or its second score; `seen` is from `seen_by`.

    A first score moves points, results, gain and summary with it. Sent twice, it is stored once.
    Raises NothingToScore, InvalidField, NotYours, ChangedMeanwhile, ConsentNotInForce, Busy.
    """
    for _ in range(TRIES):
        answer = load(session_id=session_id, mark=mark, question=question, package=package)
        _check(answer, breakdown)
        if _is_stored(answer, by.name, breakdown, note):
            return answer
        if answer.seen_by(by.name) != seen:
            raise ChangedMeanwhile(question)
        if not answer.part_of(by.name):
            raise NotYours(question)
        given = _scoring(answer, breakdown, note, by.name, now)
        told = _told(answer, given, by, now)
        transaction = _writing(answer, given, now)
        audit_log.note(transaction, "score.give", **told)
        try:
            commit(transaction)
        except Refused:
            continue  # another answer of the record, or of the session, was scored in between
        return answer
    raise Busy("other scores were being stored; nothing was changed, send it again")


def _check(answer: Answer, breakdown: Mapping[str, float]) -> None:
    """Raises InvalidField."""
    for criterion in answer.criteria:
        value = breakdown.get(criterion.name)
        if value is None:
            raise InvalidField(criterion.name, "is missing")
        if not criterion.least <= value <= criterion.most:
            raise InvalidField(criterion.name, f"must be from {criterion.least:g} to {criterion.most:g}")
        if value % STEP:
            raise InvalidField(criterion.name, f"must be in steps of {STEP:g}")
    unknown = breakdown.keys() - {criterion.name for criterion in answer.criteria}
    if unknown:
        raise InvalidField(min(unknown), "is not scored here")


def _is_stored(answer: Answer, by: str, breakdown: Mapping[str, float], note: str) -> bool:
    given = answer.given_by(by)
    return given is not None and (given.breakdown, given.note or "") == (dict(breakdown), note)


def _scoring(
    answer: Answer, breakdown: Mapping[str, float], note: str, by: str, now: datetime
) -> HumanScoring:
    total = round(sum(breakdown.values()), 1) if answer.kind == "short" else None
    return HumanScoring(by=by, at=now, breakdown=dict(breakdown), raw_score=total, note=note or None)


def _told(answer: Answer, given: HumanScoring, by: Actor, now: datetime) -> dict[str, Any]:
    """For the audit log; the note stays with the score, as it may tell of the answer."""
    before, part = answer.given_by(by.name), answer.part_of(by.name)
    old = before.breakdown if before else {}
    return {
        "by": by,
        "now": now,
        "student_id": answer.run.session.student_id,
        "session_id": answer.run.id,
        "subject": f"{answer.what}/{answer.question}, {part} score",
        "old": old,
        "new": given.breakdown,
    }


def _writing(answer: Answer, given: HumanScoring, now: datetime) -> Transaction:
    """All that a human score changes; who reads the session sees all of it or nothing."""
    run, record = answer.run, answer.record
    model: Any = type(record)
    unchanged = same_version(model.metadata.version, record.metadata.version)
    record.metadata.version = (record.metadata.version or 0) + 1
    record.metadata.updated_at = now
    transaction = run.writing()
    actions: list[Action] = []
    if answer.part_of(given.by) == "second":
        answer.asked.second_scoring = given
    else:
        if isinstance(answer.asked, Question):
            answer.asked.model_scores = _model_scores(answer.asked) or None
        answer.asked.human_scoring = given
        actions += _taken_over(transaction, answer, given, now)
        if answer.has_model:
            _flag(transaction, run, now)
    actions.append(model.metadata.set(record.metadata))
    actions.append(_place(record, answer.question).set(answer.asked))
    transaction.update("record", record, actions, unchanged)
    _note_in_review(transaction, answer)
    return transaction


def _place(record: Assessment | Intervention, question: str) -> Any:
    number = next(number for number, each in enumerate(record.questions) if _name(each) == question)
    if isinstance(record, Assessment):
        return Assessment.questions[number]
    return Intervention.list_attribute(record.intervention_metadata.type)[number]


def _taken_over(transaction: Transaction, answer: Answer, given: HumanScoring, now: datetime) -> list[Action]:
    """The human score in the place of the model's, and what follows from it."""
    record, asked = answer.record, cast(Any, answer.asked)
    if isinstance(record, Assessment):
        asked.points_earned = scoring.rubric_points(given.breakdown, asked.points)
        asked.is_correct = scoring.counts_as_correct(asked.points_earned, asked.points)
        return _results(transaction, answer.run, record, now)
    asked.quality_scores = dict(given.breakdown)
    automated_scoring.summarise(record)
    return [Intervention.intervention_summary.set(record.intervention_summary)]


def _results(transaction: Transaction, run: Run, record: Assessment, now: datetime) -> list[Action]:
    if record.unscored:
        return []  # the results come with the last score
    record.assessment_results = scoring.results(record.questions)
    record.scoring_breakdown = scoring.breakdown(record.questions)
    record.metadata.grading_method = record.metadata.grading_method or "human"
    return [
        Assessment.assessment_results.set(record.assessment_results),
        Assessment.scoring_breakdown.set(record.scoring_breakdown),
        *automated_scoring.gain(transaction, run, record, now),
    ]


def _flag(transaction: Transaction, run: Run, now: datetime) -> None:
    """METADATA is copied into five indexes, so it is written for the first human score of a session alone."""
    session = run.session
    if "human_regraded" in session.metadata.data_quality_flags:
        return
    unchanged: Any = same_version(Session.metadata.version, session.metadata.version)
    # A transaction holds an item once; the version tells all that a check of METADATA would.
    transaction.checks = [each for each in transaction.checks if each[1]["range_key"] != session.SK]
    transaction.update("session", session, run.stage_done(now=now, flags=["human_regraded"]), unchanged)


def _note_in_review(transaction: Transaction, answer: Answer) -> None:
    review = answer.review
    if review is None:  # scored by the model before there were reviews
        review = _new_review(answer)
        _renew(review, answer)
        transaction.create("review", review)
        return
    _renew(review, answer)
    actions: list[Action] = [
        Review.answers.set(review.answers),
        Review.record_version.set(review.record_version),
        *review.place(),
    ]
    transaction.update("review", review, actions)


def _renew(review: Review, answer: Answer) -> None:
    told = review.answer(answer.question)
    if told is None:
        told = _reviewed(answer.run.id, answer.what, answer.asked)
        review.answers = [*review.answers, told]
    first, second = answer.human, answer.second
    if first is not None:
        told.human, told.human_by = _compared(answer.asked, first), first.by
    if second is not None:
        told.second, told.second_by = _compared(answer.asked, second), second.by
    review.record_version = int(answer.record.metadata.version)
    review.place()


def _new_review(answer: Answer) -> Review:
    record = answer.record
    at = record.grading.graded_at if isinstance(record, Intervention) and record.grading else None
    review = Review.new(
        session_id=answer.run.id,
        what=answer.what,
        scores={},
        record_version=record.metadata.version,
        scored_at=at or record.metadata.created_at,
    )
    review.answers = [_reviewed(answer.run.id, answer.what, asked) for asked in _scored(record)]
    return review


def _reviewed(session_id: str, what: str, asked: Any) -> ReviewedAnswer:
    """`asked` is an AssessmentQuestion or a Question."""
    if isinstance(asked, AssessmentQuestion):
        model = {POINTS: scoring.rubric_points(asked.ai_scoring.rubric_breakdown, asked.points)}
    else:
        model = _model_scores(asked)
    sampled = in_sample(session_id, what, _name(asked))
    return ReviewedAnswer(question=_name(asked), in_sample=sampled, model=model)


def _compared(asked: AssessmentQuestion | Question, given: HumanScoring) -> dict[str, float]:
    """What graders are compared by: the points of a short answer, each score of the dialogue."""
    if isinstance(asked, AssessmentQuestion):
        return {POINTS: scoring.rubric_points(given.breakdown, asked.points)}
    return dict(given.breakdown)


# --- what comes next


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is found."""

    session_id: str
    mark: str
    question: str


def counting(items: Iterable[Item], realms: Collection[str] = keys.COUNTED_REALMS) -> list[Review]:
    """The readable reviews of sessions of these realms that are not void: one batch for every 100 sessions.

    Lists keep the entries of a void session, so that it needs no repair when the mark is removed.
    """
    reviews = list(readable(items, Review))
    sessions = {(review.PK, keys.METADATA) for review in reviews}
    found = Session.batch_get(sessions) if sessions else ()
    out = {session.PK for session in found if session.is_void or session.realm not in realms}
    return [review for review in reviews if review.PK not in out]


def waiting(review: Review, list_name: str, by: str) -> list[ReviewedAnswer]:
    """The answers of a review that are in a list and, where they want a score, one of this person."""
    told = [answer for answer in review.answers if answer.belongs_to(list_name)]
    return [answer for answer in told if list_name != "second" or answer.human_by != by]


def neighbour(answer: Answer, list_name: str, *, by: str, newer: bool) -> Place | None:
    """The answer before or after this one in a list (newest first) that this person may score."""
    if answer.review is None:
        return None
    here = answer.review.entry
    low, high = (here, keys.after("9")) if newer else ("0", here)
    paging = {"scan_index_forward": newer, "limit": NEIGHBOURS_READ, "page_size": NEIGHBOURS_READ}
    found = Review.between(answer.kind, list_name, low, high, **paging)
    return next(_around(answer, counting(found), list_name, by, newer), None)


def _around(answer: Answer, found: Iterable[Review], list_name: str, by: str, newer: bool) -> Iterator[Place]:
    for review in found:
        order = [told.question for told in review.answers]
        names = [told.question for told in waiting(review, list_name, by)]
        if (review.session_id, review.what) == (answer.run.id, answer.what):
            here = order.index(answer.question)
            names = [
                name for name in names if (order.index(name) < here if newer else order.index(name) > here)
            ]
        for name in reversed(names) if newer else names:
            yield Place(review.session_id, mark_of(review.session_id, review.what), name)
