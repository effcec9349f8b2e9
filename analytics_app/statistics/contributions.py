"""What one session adds to its condition's statistics. Pure: items in, whole numbers out.

What could not be read of an item is None here: that part is left out, and the session counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sessions_app.domain import scores
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys

from .sums import MEANS, NORMALIZED, SCORE, Histogram, Sums

WITHIN_MS = (1500, 3000, 10_000)


@dataclass(frozen=True, slots=True)
class Share:
    """What one session adds to its condition's month. `source` tells the state of the items it comes from."""

    session_id: str
    student_id: str
    condition: keys.Condition
    day: str
    sums: Sums
    source: str

    @property
    def month(self) -> str:
        return self.day[:7]


def contribution(run: Run, session_id: str | None = None) -> Share:
    """Every session started counts; outcomes, dialogue and survey count when it is completed.

    A missing score is left out. A session withdrawn counts as that, whatever it had reached. `session_id` is
    that of the partition, whatever another client has stored in the item.
    """
    session = run.session
    counts = _flow(run)
    histograms: dict[str, Histogram] = {}
    if counts.get("completed"):
        counts |= _outcomes(run, histograms) | _dialogue(run) | _content(run) | _survey(run)
        counts |= _tutor(run, histograms)
    return Share(
        session_id=session_id or run.id,
        student_id=session.student_id,
        condition=replace(session.condition, realm=session.realm),
        day=keys.stamp(session.start)[:10],
        sums=Sums(counts, histograms) + Sums(),  # without zeros
        source=_source(run),
    )


def _flow(run: Run) -> dict[str, int]:
    session, status = run.session, run.session.completion_status
    withdrawn = session.state == "withdrawn"
    completed = bool(status.completed) and not withdrawn
    return {
        "sessions": 1,
        "completed": int(completed),
        "stopped": int(session.state == "stopped" and not completed),
        "abandoned": int(session.state == "abandoned" and not completed),
        "withdrawn": int(withdrawn),
        "flagged": int(bool(session.metadata.data_quality_flags)),
        "did_baseline": int(bool(status.baseline_completed)),
        "did_content": int(bool(status.content_completed)),
        "did_final": int(bool(status.final_assessment_completed)),
        "did_survey": int(bool(status.post_survey_completed)),
    }


def _units(value: Fraction | float | None, scale: int) -> int | None:
    exact = value if isinstance(value, Fraction) else scores.number(value)
    return None if exact is None else round(exact * scale)


def _summed(name: str, values: Iterable[Fraction | float | None], scale: int) -> dict[str, int]:
    """n and sum of the values there are."""
    known = [units for value in values if (units := _units(value, scale)) is not None]
    return {f"{name}_n": len(known), f"{name}_sum": sum(known)}


def _squared(name: str, values: Iterable[Fraction | float | None], scale: int) -> dict[str, int]:
    """The same with the sum of squares."""
    kept = list(values)
    known = [units for value in kept if (units := _units(value, scale)) is not None]
    return {**_summed(name, kept, scale), f"{name}_squares": sum(units * units for units in known)}


def _outcomes(run: Run, histograms: dict[str, Histogram]) -> dict[str, int]:
    counts = _summed("duration", [run.session.timeline.total_duration_seconds], 1)
    found = scores.Scores.of(run.assessments)
    for kind, score in (("baseline", found.baseline), ("final", found.final)):
        counts |= _squared(kind, [score], SCORE)
        if score is not None:
            histograms[kind] = {round(score * SCORE): 1}
    if found.gain is not None:
        counts |= _gain(found.gain, histograms)
    return counts


def _gain(gain: scores.Gain, histograms: dict[str, Histogram]) -> dict[str, int]:
    histograms["gain"] = {round(gain.absolute * SCORE): 1}
    return {
        **_squared("gain", [gain.absolute], SCORE),
        **{"gained": int(gain.absolute > 0), "unchanged": int(gain.absolute == 0)},
        "lost": int(gain.absolute < 0),
        **_squared("normalized", [gain.normalized], NORMALIZED),
    }


def _dialogue(run: Run) -> dict[str, int]:
    whole = [record for record in run.interventions.values() if record.intervention_summary is not None]
    summaries = [record.intervention_summary for record in whole]
    return {
        "interventions": len(whole),
        "questions": sum(int(summary.questions_asked or 0) for summary in summaries),
        **_summed("asking", (summary.total_duration_seconds for summary in summaries), 10),
        **_squared("response", map(scores.response_time, whole), MEANS),
        **_squared("quality", map(scores.question_quality, whole), MEANS),
        **_squared("depth", map(scores.answer_depth, whole), MEANS),
        **_squared("progression", (summary.progression_quality for summary in summaries), MEANS),
    }


def _content(run: Run) -> dict[str, int]:
    if run.content is None:
        return {}
    metrics = run.content.engagement_metrics
    return {
        **_summed("content", [metrics.completion_percentage], 10),
        **_rated("pauses", metrics.pause_count),
        **_rated("rewinds", metrics.rewind_count),
        **_summed("engagement", (each.engagement_score for each in run.content.segment_tracking), 100),
    }


def _rated(name: str, value: Any) -> dict[str, int]:
    """A whole number of one session, with the number of sessions that have it."""
    return {} if value is None else {name: int(value), f"{name}_n": 1}


def _survey(run: Run) -> dict[str, int]:
    if run.survey is None:
        return {}
    learning = run.survey.learning_experience
    return {
        "survey_n": 1,
        **_rated("location_impact", run.survey.location_experience.location_impact_rating),
        **_rated("helpful", run.survey.intervention_experience.intervention_helpful_rating),
        **_rated("overall", learning.overall_experience_rating),
        **_rated("recommended", learning.would_recommend_experience),
        **_rated("interest", learning.content_interest_rating),
        **_rated("difficulty", learning.content_difficulty_rating),
        **_rated("pacing", learning.pacing_rating),
    }


def _tutor(run: Run, histograms: dict[str, Histogram]) -> dict[str, int]:
    dynamic = [record for record in run.interventions.values() if record.is_dynamic]
    questions = [question for record in dynamic for question in record.questions]
    generated = [q for q in questions if q.question_metadata and q.question_source in (None, "generated")]
    known = (question.question_metadata.generation_time_ms for question in generated)
    waits = [int(wait) for wait in known if wait is not None]
    tenths = [wait // 100 for wait in waits]
    if tenths:
        histograms["latency"] = {tenth: tenths.count(tenth) for tenth in tenths}
    used = [record.ai_metadata for record in dynamic if record.ai_metadata is not None]
    return {
        "generated": len(generated),
        "fallbacks": sum(1 for question in questions if question.question_source == "static_fallback"),
        "latency_ms": sum(waits),
        **{f"within_{limit}": sum(1 for wait in waits if wait <= limit) for limit in WITHIN_MS},
        "prompt_tokens": sum(int(use.total_prompt_tokens or 0) for use in used),
        "completion_tokens": sum(int(use.total_completion_tokens or 0) for use in used),
        "cost_millionths": sum(_units(use.total_cost_usd, 1_000_000) or 0 for use in used),
        **_grading(run),
    }


def _grading(run: Run) -> dict[str, int]:
    graded = [record.grading for record in run.interventions.values() if record.grading is not None]
    answers = (question for record in run.assessments.values() for question in record.questions)
    graded += [answer.ai_scoring for answer in answers if answer.ai_scoring is not None]
    return {
        "grading_prompt_tokens": sum(int(grade.prompt_tokens or 0) for grade in graded),
        "grading_completion_tokens": sum(int(grade.completion_tokens or 0) for grade in graded),
        "grading_cost_millionths": sum(_units(grade.cost_usd, 1_000_000) or 0 for grade in graded),
    }


def _source(run: Run) -> str:
    """A digest of the items counted: of our own by their versions, of others also by when they changed.

    Versions only grow, so it never comes back to an earlier value, even where the figures do.
    """
    records: list[tuple[str, Any]] = [
        ("session", run.session),
        ("survey", run.survey),
        *run.assessments.items(),
    ]
    records += [(str(number), record) for number, record in run.interventions.items()]
    seen = [(name, str(record.SK), _state(record)) for name, record in records if record is not None]
    return hashlib.sha256(repr(sorted(seen)).encode()).hexdigest()[:32]


def _state(record: Any) -> str:
    version, changed = (getattr(record.metadata, name, None) for name in ("version", "updated_at"))
    return f"{version or 0} {changed}"
