"""The content: how it is followed, where playing stands, and the end of each segment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pynamodb.expressions.update import Action

from .. import flow, scoring
from ..content.package import Package, Segment
from ..models import ContentDelivery, SegmentTracking
from ..store import keys
from ..store.transactions import Refused, Transaction
from . import dialogue, offline_timing
from .record import DifferentAnswer, OutOfStep, Run, commit, count_is, keep_conflict, seconds_between
from .submissions import Submission, finish, take

COMPLETE_SHARE = 0.95  # of a segment's seconds have to be played for it to count as completed
TIMING_TOLERANCE_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the player counted so far in a segment: seconds, and how often.

    `position` is where it stands, `played` how long it ran at speed 1, rewound seconds not counted twice.
    `heard` has the parts that were played with sound, from second to second; `muted` is the time without.
    `as_sent` is the report in words, by which another one under the same submission id is known.
    """

    position: float
    played: float
    pauses: int = 0
    rewinds: int = 0
    muted: float = 0
    heard: tuple[tuple[float, float], ...] = ()
    delivered_by: str | None = None
    skip_reason: str | None = None
    as_sent: str = ""


def choose_format(
    run: Run,
    *,
    format_chosen: str,
    speed: float,
    captions: bool,
    package: Package,
    now: datetime,
    submission_id: str | None = None,
    held: offline_timing.Held | None = None,
) -> Run:
    """Store how the student follows the content. Of two different choices the first one stands.

    Raises InvalidField, and what `submissions.take` raises; DifferentAnswer.
    """
    chosen = (format_chosen, speed, captions)
    sent = Submission(
        stage="format",
        question="format",
        text=choice_in_words(*chosen),
        submission_id=submission_id,
        now=now,
        held=held,
    )

    def already(run: Run) -> bool:
        return run.content is not None and _is_same_choice(run, chosen, submission_id, now)

    def store(run: Run) -> None:
        run.content = _new_content(run, chosen, package, now, submission_id, held)
        transaction = Transaction()
        transaction.create("content", run.content)
        finish(run, transaction, now=now, held=held, flags=offline_timing.flags(held))

    return take(run, sent, already=already, store=store)


def _new_content(
    run: Run,
    chosen: tuple[str, float, bool],
    package: Package,
    now: datetime,
    submission_id: str | None,
    held: offline_timing.Held | None,
) -> ContentDelivery:
    format_chosen, speed, captions = chosen
    return ContentDelivery(
        PK=keys.session(run.id),
        SK=keys.CONTENT_DELIVERY,
        session_id=run.id,
        student_id=run.session.student_id,
        content_metadata={
            "content_id": package.content_id,
            "content_version": package.content_version,
            "topic": package.topic,
            "duration_seconds": package.duration_seconds,
            "difficulty_level": package.difficulty_level,
        },
        delivery_preferences={
            "format_chosen": format_chosen,
            "playback_speed": speed,
            "captions_enabled": captions,
            "language": package.language,
        },
        engagement_metrics={
            "start_time": now,
            "total_play_time_seconds": 0,
            "total_elapsed_time_seconds": 0,
            "pause_count": 0,
            "rewind_count": 0,
            "segments_completed": 0,
            "completion_percentage": 0,
        },
        segment_tracking=[],
        metadata={
            "created_at": now,
            "updated_at": now,
            "submission_id": submission_id,
            "held_seconds": offline_timing.held_seconds(held),
        },
    )


def _is_same_choice(
    run: Run, chosen: tuple[str, float, bool], submission_id: str | None, now: datetime
) -> bool:
    """Whether the stored choice is the same. Raises DifferentAnswer; the other one is kept."""
    stored = _content(run)
    preferences = stored.delivery_preferences
    if (preferences.format_chosen, preferences.playback_speed, preferences.captions_enabled) == chosen:
        return True
    _keep_other(run, "format", submission_id, choice_in_words(*chosen), now)
    same = submission_id is not None and stored.metadata.submission_id == submission_id
    raise DifferentAnswer(same_submission=same)


def choice_in_words(way: str, speed: float, captions: bool) -> str:
    """As it is kept of a choice that came second."""
    return f"{way}, speed {speed:g}, {'with' if captions else 'without'} captions"


def _keep_other(run: Run, stage: str, submission_id: str | None, words: str, now: datetime) -> None:
    step, told = run.step_of(stage), submission_id or "unknown"
    keep_conflict(run, step=step, question=stage, submission_id=told, text=words, now=now)


def record_progress(run: Run, *, segment_id: int, report: Report, package: Package, now: datetime) -> Run:
    """Keep where a segment stands, so that it resumes at the same second on any device.

    A report that is older than what is stored, or comes after the segment's end, changes nothing.
    """
    stored = tracking_of(run, segment_id)
    if stored is not None and (stored.end_time or (stored.play_time_seconds or 0) > report.played):
        return run
    run.expect(f"segment-{segment_id}", 1)
    tracking = _updated(stored, package.segment(segment_id), report, _begun(run, report, now))
    transaction = run.writing()
    transaction.update(
        "content", _content(run), _placing(run, segment_id, tracking, now), _open_segment(run, segment_id)
    )
    try:
        commit(transaction)
    except Refused:
        return Run.load(run.id)
    _keep(run, segment_id, tracking)
    return run


def finish_segment(
    run: Run,
    *,
    segment_id: int,
    report: Report,
    package: Package,
    now: datetime,
    submission_id: str | None = None,
    held: offline_timing.Held | None = None,
) -> Run:
    """End a segment; where three questions follow, their record is opened in the same transaction.

    Finished again, in another tab too, it changes nothing; only another report under the same submission id
    is a conflict. Raises what `submissions.take` raises; DifferentAnswer.
    """
    sent = Submission(
        stage=f"segment-{segment_id}",
        question=f"segment-{segment_id}",
        text=report.as_sent or "no report",
        submission_id=submission_id,
        now=now,
        held=held,
    )

    def already(run: Run) -> bool:
        ended = tracking_of(run, segment_id)
        if ended is None or ended.end_time is None:
            return False
        return _is_same_end(run, ended, report, submission_id, now)

    def store(run: Run) -> None:
        _store_end(run, package.segment(segment_id), report, package, now, submission_id, held)

    return take(run, sent, already=already, store=store)


def _store_end(
    run: Run,
    segment: Segment,
    report: Report,
    package: Package,
    now: datetime,
    submission_id: str | None,
    held: offline_timing.Held | None,
) -> None:
    segment_id = int(segment.segment_id)
    tracking = _updated(tracking_of(run, segment_id), segment, report, run.last_moment)
    tracking.end_time = now
    tracking.submission_id, tracking.report = submission_id, report.as_sent or None
    tracking.held_seconds = offline_timing.held_seconds(held)
    played = tracking.play_time_seconds
    elapsed = offline_timing.response_time(held, seconds_between(tracking.start_time, now))
    tracking.completed = played >= COMPLETE_SHARE * segment.duration_seconds
    tracking.skip_reason = None if tracking.completed else report.skip_reason
    tracking.engagement_score = scoring.engagement(
        played=played,
        duration=segment.duration_seconds,
        elapsed=elapsed,
        speed=_content(run).delivery_preferences.playback_speed,
    )
    flags = [*_deviations(segment, played, elapsed), *offline_timing.flags(held)]
    before = _open_segment(run, segment_id)
    _keep(run, segment_id, tracking)
    _add_up(run, package, now, held)
    transaction = Transaction()
    transaction.update("content", _content(run), _ending(run, segment_id, tracking), before)
    if segment_id in flow.SCHEDULE[run.session.condition.interval]:
        record = dialogue.opened(run, segment=segment, package=package, now=now)
        transaction.create("intervention", record)
        run.interventions[segment_id] = record
    facts = {"completion_status__content_completed": True} if segment_id == flow.SEGMENTS else {}
    finish(run, transaction, now=now, held=held, flags=flags, **facts)


def _is_same_end(
    run: Run, ended: SegmentTracking, report: Report, submission_id: str | None, now: datetime
) -> bool:
    """Whether the segment's end says nothing new. Raises DifferentAnswer; the other report is kept."""
    same = submission_id is not None and ended.submission_id == submission_id
    if not same or (ended.report or "") == report.as_sent:
        return True
    _keep_other(run, f"segment-{ended.segment_id}", submission_id, report.as_sent or "no report", now)
    raise DifferentAnswer(same_submission=True)


def _content(run: Run) -> ContentDelivery:
    if run.content is None:
        raise OutOfStep(run.step)
    return run.content


def tracking_of(run: Run, segment_id: int) -> SegmentTracking | None:
    known = run.content.segment_tracking if run.content else ()
    return next((tracking for tracking in known if tracking.segment_id == segment_id), None)


def _begun(run: Run, report: Report, now: datetime) -> datetime:
    """When playing began, by a segment's first report: it may come late, but not before the stage itself."""
    speed = _content(run).delivery_preferences.playback_speed
    played = report.played if math.isfinite(report.played) else 0
    return max(run.last_moment, now - timedelta(seconds=max(0, played) / speed))


def _updated(
    stored: SegmentTracking | None, segment: Segment, report: Report, start: datetime
) -> SegmentTracking:
    """The segment as the report leaves it; counters never fall. No one plays more than there is."""
    length = segment.duration_seconds
    old: Mapping[str, Any] = stored.attribute_values if stored else {}
    tracking = SegmentTracking(
        segment_id=segment.segment_id,
        start_time=stored.start_time if stored else start,
        duration_seconds=length,
        completed=False,
        position_seconds=round(min(max(report.position, 0), length), 1),
        play_time_seconds=round(
            max(min(max(report.played, 0), length), old.get("play_time_seconds") or 0), 1
        ),
        pause_count=max(report.pauses, old.get("pause_count") or 0),
        rewind_count=max(report.rewinds, old.get("rewind_count") or 0),
    )
    tracking.unknown = getattr(stored, "unknown", {})
    _add_delivery(tracking, report, old)
    return tracking


def _add_delivery(tracking: SegmentTracking, report: Report, old: Mapping[str, Any]) -> None:
    """How the content reached the student; a report that says nothing of it takes nothing back."""
    heard = _merged(report.heard, tracking.duration_seconds)
    seconds = round(sum(last - first for first, last in heard), 1)
    tracking.delivered_by = report.delivered_by or old.get("delivered_by")
    if seconds >= (old.get("heard_seconds") or 0) and heard:
        tracking.heard = " ".join(f"{first:g}-{last:g}" for first, last in heard)
        tracking.heard_seconds = seconds
    else:
        tracking.heard, tracking.heard_seconds = old.get("heard"), old.get("heard_seconds")
    if report.delivered_by or "muted_seconds" in old:
        tracking.muted_seconds = max(round(report.muted, 1), old.get("muted_seconds") or 0)


def _merged(parts: Iterable[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    """The parts in order, within the segment, those that overlap or touch as one."""
    merged: list[tuple[float, float]] = []
    for first, last in sorted((max(first, 0), min(last, length)) for first, last in parts):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        elif first < last:
            merged.append((first, last))
    return merged


def _deviations(segment: Segment, played: float, elapsed: float) -> Iterator[str]:
    """A segment that was left early, or played faster than the clock allows at double speed."""
    if played < COMPLETE_SHARE * segment.duration_seconds:
        yield "content_not_delivered"
    if played > 2 * elapsed + TIMING_TOLERANCE_SECONDS:
        yield "timing_deviation"


def _open_segment(run: Run, segment_id: int) -> Any:
    """Condition: the segment is still as it was read, and not ended."""
    tracked: Any = ContentDelivery.segment_tracking
    known = len(_content(run).segment_tracking)
    unended = tracked[segment_id - 1].end_time.does_not_exist()
    return count_is(tracked, known) & unended


def _placing(run: Run, segment_id: int, tracking: SegmentTracking, now: datetime) -> list[Action]:
    place: Any = ContentDelivery.segment_tracking[segment_id - 1]
    metadata: Any = ContentDelivery.metadata
    return [place.set(tracking), metadata.updated_at.set(now)]


def _ending(run: Run, segment_id: int, tracking: SegmentTracking) -> list[Action]:
    content = _content(run)
    actions = _placing(run, segment_id, tracking, content.metadata.updated_at)
    return [*actions, ContentDelivery.engagement_metrics.set(content.engagement_metrics)]


def _keep(run: Run, segment_id: int, tracking: SegmentTracking) -> None:
    content = _content(run)
    others = [known for known in content.segment_tracking if known.segment_id != segment_id]
    content.segment_tracking = [*others, tracking]


def _add_up(run: Run, package: Package, now: datetime, held: offline_timing.Held | None) -> None:
    """The totals over all segments. Time spent on questions is not content time."""
    content = _content(run)
    metrics, tracked = content.engagement_metrics, content.segment_tracking
    metrics.total_play_time_seconds = round(sum(t.play_time_seconds or 0 for t in tracked), 1)
    metrics.pause_count = sum(t.pause_count or 0 for t in tracked)
    metrics.rewind_count = sum(t.rewind_count or 0 for t in tracked)
    metrics.segments_completed = sum(1 for t in tracked if t.completed)
    metrics.completion_percentage = scoring.percentage(
        metrics.total_play_time_seconds, package.duration_seconds
    )
    chosen_at = metrics.start_time - timedelta(seconds=content.metadata.held_seconds or 0)
    metrics.total_elapsed_time_seconds = seconds_between(chosen_at, offline_timing.given_at(held, now))
    if len(tracked) == flow.SEGMENTS:
        metrics.end_time = now
    content.metadata.updated_at = now
