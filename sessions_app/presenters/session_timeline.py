"""The course of a session for its page: state, flags, how far it came, and a timeline of all its steps.

Pure: a run and the content package come in, plain values for the template go out. Every part that is missing
says why. What was said in the session is in `transcript.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..domain import flow, scores
from ..domain.content.package import Package
from ..domain.models import Assessment, Intervention, Item, Session
from ..domain.models.content_delivery import SKIP_REASONS
from ..domain.models.session import FLAGS
from ..domain.session import location_check
from ..domain.session.record import Run

FLAG_MEANINGS = {
    "ai_fallback": "The model did not give a usable question in time, so a scripted question was used.",
    "offline_tutor": "No model was connected: the scripted tutor wrote the questions.",
    "location_override": "The location was not verified: a facilitator confirmed it and gave a reason.",
    "resumed": "The session was interrupted for more than half an hour and then resumed.",
    "long_pause": "A single answer took more than ten minutes.",
    "short_answer": "At least one written answer has fewer than five characters.",
    "timing_deviation": "A part was played faster than possible.",
    "content_not_delivered": "A part was left before its end. The reason stands beside the part.",
    "intervention_count_mismatch": "There are fewer complete rounds of questions than planned.",
    "late_sync": "Answers were kept on the device for a while and reached the database late.",
    "safeguarding": "An answer held a sign of danger; staff were called. The words are in the answer alone.",
    "human_regraded": "A person scored an answer; that score overrides the model's.",
    "condition_override": "The condition was set by a person with a reason, not assigned at random.",
    "duplicate": "A part is stored more than once. The first complete one counts; the others are shown.",
    "naive_timestamp": "A timestamp was stored without a time zone. It is read as UTC.",
    "clock_skew": "A device claimed that an answer had waited for longer than the session is old.",
    "void": "The session's data cannot be used. No statistic, analysis or export counts it.",
}
DELIVERIES = {
    "recording": "Recorded voice",
    "video": "Video",
    "voice": "The browser's voice",
    "words": "Words on the screen",
}
UNKNOWN = "unknown"
METHODS = {
    "GPS": "GPS",
    "QR_code": "Code on the wall",
    "manual": "Confirmed by the facilitator",
    "honor_system": "Honor system",
}


def state_of(session: Session) -> str:
    """Sessions by other writers say only whether they are complete."""
    return str(session.state or ("completed" if session.completion_status.completed else "running"))


def words(state: str) -> str:
    """A state as staff read it."""
    return "timed out" if state == "abandoned" else state


def why_missing(run: Run) -> str:
    """Why a step has left nothing behind."""
    return {
        "running": "Not reached yet: the session is running.",
        "stopped": "Not reached: the session was stopped before.",
        "abandoned": "Not reached so far: the session timed out. Answers that still arrive open it again.",
        "withdrawn": "Not reached: consent was withdrawn before.",
    }.get(state_of(run.session), "Nothing is stored for this step.")


def flags(session: Session) -> list[tuple[str, str]]:
    """(flag, what it means), in the order of the study's list."""
    raised = set(session.metadata.data_quality_flags)
    return [(flag, FLAG_MEANINGS[flag]) for flag in FLAGS if flag in raised]


# --- how far


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done out of all steps of the plan, and the stage that comes next."""

    done: int
    total: int
    stage: str


PHASES = ("Baseline assessment", "Lesson", "Final assessment", "Survey")
"""The course of every session, whatever its arm: the number of steps would give the arm away."""


def phases(session: Session) -> Progress:
    """How far a session is, for readers from whom its arm is hidden."""
    status = session.completion_status
    finished = (
        status.baseline_completed,
        status.final_assessment_completed or (status.content_completed and status.interventions_completed),
        status.final_assessment_completed,
        status.post_survey_completed,
    )
    done = next((i for i, is_done in enumerate(finished) if not is_done), len(PHASES))
    return Progress(done, len(PHASES), PHASES[done] if done < len(PHASES) else "")


def progress(session: Session) -> Progress:
    """How far a session is, to the stage, from its METADATA alone: lists read nothing else."""
    if session.is_arm_hidden:
        return phases(session)
    stages = flow.plan(session.condition.interval)
    done = _stages_done(session, stages)
    following = next((stage.staff_label for stage in stages if stage.name not in done), "")
    finished = sum(stage.steps for stage in stages if stage.name in done)
    return Progress(finished, sum(stage.steps for stage in stages), following)


def exact_progress(run: Run) -> Progress:
    """How far a session is, to the step."""
    if run.session.is_arm_hidden:
        return phases(run.session)
    done = sum(min(run.done.get(stage.name, 0), stage.steps) for stage in run.stages)
    step = run.step
    return Progress(done, sum(stage.steps for stage in run.stages), step.stage.staff_label if step else "")


def _stages_done(session: Session, stages: tuple[flow.Stage, ...]) -> set[str]:
    status = session.completion_status
    rounds = [stage for stage in stages if stage.kind == "questions"]
    asked = rounds[: int(status.interventions_completed or 0)]
    reached = flow.SEGMENTS if status.content_completed else max((s.segment or 0 for s in asked), default=0)
    done = {stage.name for stage in stages if stage.kind == "segment" and (stage.segment or 0) <= reached}
    done |= {stage.name for stage in asked}
    facts = {
        "baseline": status.baseline_completed,
        "format": reached > 0,
        "final": status.final_assessment_completed,
        "survey": status.post_survey_completed,
    }
    return done | {name for name, is_done in facts.items() if is_done}


# --- what does not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """A part that is stored and counts for nothing; `label` says why."""

    item: Assessment | Intervention
    label: str
    title: str
    at: datetime | None
    score: float | None = None


def extras(run: Run) -> list[Extra]:
    duplicates = [_extra(item, "duplicate") for item in run.duplicates]
    return duplicates + [_extra(item, "midpoint") for item in run.midpoints]


def _extra(item: Assessment | Intervention, label: str) -> Extra:
    if isinstance(item, Intervention):
        told = item.intervention_metadata
        return Extra(
            item=item, label=label, title=f"Questions after part {told.segment_id:g}", at=told.timestamp
        )
    results, about = item.assessment_results, item.assessment_metadata
    score = results.score_percentage if results else None
    return Extra(item=item, label=label, title=f"{about.type} assessment", at=about.timestamp, score=score)


def left_out(run: Run) -> list[tuple[Item, str, str]]:
    """(item, path, reason) of every value of the parts that count that was odd."""
    parts = (
        run.verification,
        run.content,
        run.survey,
        *run.assessments.values(),
        *run.interventions.values(),
    )
    items: list[Item] = [run.session, *(item for item in parts if item is not None)]
    return [(item, *remark) for item in items for remark in (*item.faults, *item.adjustments)]


# --- the timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the timeline. `state`: done, now, flagged, or empty for what was not reached."""

    title: str
    at: datetime | None = None
    state: str = "done"
    facts: tuple[str, ...] = ()


def timeline(run: Run, package: Package) -> list[Entry]:
    """To readers from whom the arm is hidden the lesson is one line."""
    if run.session.is_arm_hidden:
        return [_verification(run), *_phase_entries(run), _end(run)]
    return [_verification(run), *(_stage(run, stage, package) for stage in run.stages), _end(run)]


def _phase_entries(run: Run) -> list[Entry]:
    now = phases(run.session).done
    facts = {
        0: _assessment_facts(run.assessments.get("baseline")),
        2: _assessment_facts(run.assessments.get("final")),
        3: _survey_facts(run),
    }
    entries = []
    for i, title in enumerate(PHASES):
        at, lines = facts.get(i, (None, []))
        state = "done" if i < now else "now" if i == now else ""
        waiting = {"done": "Done.", "now": "Now."}.get(state) or why_missing(run)
        entries.append(Entry(title=title, at=at, state=state, facts=tuple(lines or [waiting])))
    return entries


def _verification(run: Run) -> Entry:
    record = run.verification
    if record is None:
        return Entry(title="Location", state="", facts=("No location verification on record.",))
    told = record.verification
    facts = [f"{METHODS.get(told.method, UNKNOWN)}, confidence {told.confidence or UNKNOWN}"]
    gps = record.gps_data
    if gps is not None and gps.distance_from_target_meters is not None:
        band = location_check.distance_band(
            meters=gps.distance_from_target_meters, inside=gps.geofence_validated
        )
        facts.append(f"Geofence: {band} from the center")
    if told.override_reason:
        facts.append(f"Reason: {told.override_reason}")
    if told.attested_by:
        facts.append(f"Confirmed by {told.attested_by}")
    title = "Location verified" if told.verified else "Location not verified"
    flagged = told.method == "manual" or not told.verified
    at = told.verification_timestamp
    return Entry(title=title, at=at, state="flagged" if flagged else "done", facts=tuple(facts))


def _stage(run: Run, stage: flow.Stage, package: Package) -> Entry:
    done, step = run.done.get(stage.name, 0), run.step
    now = step is not None and step.stage is stage
    state = "done" if done >= stage.steps else "now" if now else ""
    at, facts = _facts(run, stage)
    if not facts:
        facts = ["Now." if now else why_missing(run)]
    return Entry(title=_title(stage, package), at=at, state=state, facts=tuple(facts))


def _title(stage: flow.Stage, package: Package) -> str:
    if stage.kind == "segment":
        return f"{stage.label}: {segment_title(package, stage.segment or 0)}"
    if stage.kind == "questions":
        return f"Questions after part {stage.segment}"
    titles = {"baseline": "Baseline assessment", "format": "Format", "final": "Final assessment"}
    return titles.get(stage.name, "Survey")


def segment_title(package: Package, segment_id: int) -> str:
    known = {segment.segment_id: segment.title for segment in package.segments}
    return known.get(segment_id, f"Part {segment_id}")


def _facts(run: Run, stage: flow.Stage) -> tuple[datetime | None, list[str]]:
    match stage.kind:
        case "baseline" | "final":
            return _assessment_facts(run.assessments.get(stage.name))
        case "format":
            return _format_facts(run)
        case "segment":
            return _segment_facts(run, stage.segment or 0)
        case "questions":
            return _questions_facts(run.interventions.get(stage.segment or 0))
    return _survey_facts(run)


def _survey_facts(run: Run) -> tuple[datetime | None, list[str]]:
    if run.survey is None:
        return None, []
    told = run.survey.survey_metadata
    return told.timestamp, [f"Answered in {span(told.duration_seconds)}"]


def _assessment_facts(record: Assessment | None) -> tuple[datetime | None, list[str]]:
    if record is None:
        return None, []
    told = record.assessment_metadata
    took = f" in {span(told.duration_seconds)}" if told.duration_seconds is not None else ""
    facts = [f"{count(record.questions)} of {flow.ITEMS} answers{took}"]
    if record.is_graded:
        score = scores.percent(scores.score(record))
        facts.append("Its score lies outside the scale" if score is None else f"{score:.1f}%")
    elif count(record.questions) >= flow.ITEMS:
        facts.append("Short answers are being scored")
    return told.timestamp, facts


def count(things: Iterable[Any]) -> int:
    return sum(1 for _ in things)


def _format_facts(run: Run) -> tuple[datetime | None, list[str]]:
    if run.content is None:
        return None, []
    told = run.content.delivery_preferences
    at = run.content.metadata.created_at
    captions = "with captions" if told.captions_enabled else "without captions"
    speed = UNKNOWN if told.playback_speed is None else f"{told.playback_speed:g}"
    return at, [f"{told.format_chosen or UNKNOWN}, speed {speed}, {captions}"]


def _segment_facts(run: Run, segment_id: int) -> tuple[datetime | None, list[str]]:
    tracked = run.content.segment_tracking if run.content else ()
    told = next((t for t in tracked if t.segment_id == segment_id), None)
    if told is None:
        return None, []
    facts = []
    if told.play_time_seconds is not None:
        facts.append(f"Played {span(told.play_time_seconds)} of {span(told.duration_seconds)}")
    if told.delivered_by is not None:
        facts.append(DELIVERIES.get(told.delivered_by, told.delivered_by))
    if told.heard_seconds is not None:
        facts.append(f"Heard {span(told.heard_seconds)}")
    if told.muted_seconds:
        facts.append(f"Muted for {span(told.muted_seconds)}")
    if told.pause_count is not None:
        facts.append(f"{_many(told.pause_count, 'pause')}, {_many(told.rewind_count or 0, 'rewind')}")
    if told.engagement_score is not None:
        facts.append(f"Engagement {told.engagement_score:.2f}")
    if told.end_time is not None and not told.completed:
        reason = SKIP_REASONS.get(str(told.skip_reason))
        facts.append(f"Left early: {reason}" if reason else "Left early")
    return told.start_time, facts or ["Started"]


def _questions_facts(record: Intervention | None) -> tuple[datetime | None, list[str]]:
    if record is None:
        return None, []
    facts = [f"{record.answered} of {flow.QUESTIONS} answers"]
    if record.intervention_summary is not None:
        facts.append(f"in {span(record.intervention_summary.total_duration_seconds)}")
    return record.intervention_metadata.timestamp, facts


def _end(run: Run) -> Entry:
    at = run.session.timeline.session_end
    state = state_of(run.session)
    if state == "running":
        return Entry(title="End", state="", facts=(why_missing(run),))
    took = run.session.timeline.total_duration_seconds
    facts = (f"After {span(took)}",) if took is not None else ()
    return Entry(
        title=words(state).capitalize(),
        at=at,
        state="done" if state == "completed" else "flagged",
        facts=facts,
    )


def _many(number: float, word: str) -> str:
    return f"{number:g} {word}" if number == 1 else f"{number:g} {word}s"


def span(seconds: float | None) -> str:
    """Seconds in words: `48 s`, `4 min 10 s`, `1 h 02 min`."""
    if seconds is None:
        return f"{UNKNOWN} time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
