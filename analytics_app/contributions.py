"""What one session adds to its condition's statistics. Pure: items in, whole numbers out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sessions_app.domain import keys, scoring
from sessions_app.domain.run import Run

from .figures import Histogram, Sums

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


def contribution(run: Run) -> Share:
    """Every session started counts; outcomes, dialogue and survey count when it is completed.

    A missing score is left out. A session withdrawn counts as that, whatever it had reached.
    """
    session = run.session
    counts = _flow(run)
    histograms: dict[str, Histogram] = {}
    if counts.get("completed"):
        counts |= _outcomes(run, histograms) | _dialogue(run) | _content(run) | _survey(run)
        counts |= _tutor(run, histograms)
    return Share(
        session_id=run.id,
        student_id=session.student_id,
        condition=session.condition,
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
        "simulated": int(bool(session.metadata.simulated)),
        "flagged": int(bool(session.metadata.data_quality_flags)),
        "did_baseline": int(status.baseline_completed),
        "did_content": int(status.content_completed),
        "did_final": int(status.final_assessment_completed),
        "did_survey": int(status.post_survey_completed),
    }


def _units(value: float, scale: int) -> int:
    return round(value * scale)


def _summed(name: str, values: Iterable[float | None], scale: int) -> dict[str, int]:
    """n, sum and sum of squares of the values there are."""
    known = [_units(value, scale) for value in values if value is not None]
    return {
        f"{name}_n": len(known),
        f"{name}_sum": sum(known),
        f"{name}_squares": sum(value * value for value in known),
    }


def _outcomes(run: Run, histograms: dict[str, Histogram]) -> dict[str, int]:
    seconds = run.session.timeline.total_duration_seconds
    counts = {"duration_n": 1, "duration_sum": _units(seconds, 1)} if seconds is not None else {}
    scores = {}
    for kind in ("baseline", "final"):
        results = run.assessments[kind].assessment_results if kind in run.assessments else None
        if results is not None:
            scores[kind] = _units(results.score_percentage, 10)
            histograms[kind] = {scores[kind]: 1}
            counts |= _summed(kind, [results.score_percentage], 10)
    if len(scores) == 2:
        counts |= _gain(scores["baseline"], scores["final"], histograms)
    return counts


def _gain(baseline: int, final: int, histograms: dict[str, Histogram]) -> dict[str, int]:
    gain = final - baseline
    histograms["gain"] = {gain: 1}
    normalized = scoring.learning_gain(baseline / 10, final / 10)["normalized_gain"]
    return {
        **{"gain_n": 1, "gain_sum": gain, "gain_squares": gain * gain},
        **{"gained": int(gain > 0), "unchanged": int(gain == 0), "lost": int(gain < 0)},
        **_summed("normalized", [normalized], 100),
    }


def _dialogue(run: Run) -> dict[str, int]:
    whole = [record for record in run.interventions.values() if record.intervention_summary is not None]
    told = [record.intervention_summary for record in whole]
    asking = _summed("asking", (summary.total_duration_seconds for summary in told), 10)
    del asking["asking_squares"]
    return {
        "interventions": len(whole),
        "questions": sum(int(summary.questions_asked) for summary in told),
        **asking,
        **_summed("response", (summary.avg_response_time_seconds for summary in told), 10),
        **_summed("quality", (summary.avg_question_quality for summary in told), 100),
        **_summed("depth", (summary.avg_answer_depth for summary in told), 100),
        **_summed("progression", (summary.progression_quality for summary in told), 100),
    }


def _content(run: Run) -> dict[str, int]:
    if run.content is None:
        return {}
    metrics = run.content.engagement_metrics
    scores = [t.engagement_score for t in run.content.segment_tracking if t.engagement_score is not None]
    return {
        "content_n": 1,
        "content_sum": _units(metrics.completion_percentage, 10),
        "pauses": int(metrics.pause_count),
        "rewinds": int(metrics.rewind_count),
        "engagement_n": len(scores),
        "engagement_sum": sum(_units(score, 100) for score in scores),
    }


def _survey(run: Run) -> dict[str, int]:
    if run.survey is None:
        return {}
    learning = run.survey.learning_experience
    return {
        "survey_n": 1,
        "location_impact": int(run.survey.location_experience.location_impact_rating),
        "helpful": int(run.survey.intervention_experience.intervention_helpful_rating),
        "overall": int(learning.overall_experience_rating),
        "recommended": int(learning.would_recommend_experience),
        "interest": int(learning.content_interest_rating),
        "difficulty": int(learning.content_difficulty_rating),
        "pacing": int(learning.pacing_rating),
    }


def _tutor(run: Run, histograms: dict[str, Histogram]) -> dict[str, int]:
    dynamic = [record for record in run.interventions.values() if record.is_dynamic]
    questions = [question for record in dynamic for question in record.questions]
    generated = [q for q in questions if q.question_metadata and q.question_source in (None, "generated")]
    waits = [int(question.question_metadata.generation_time_ms) for question in generated]
    tenths = [wait // 100 for wait in waits]
    if tenths:
        histograms["latency"] = {tenth: tenths.count(tenth) for tenth in tenths}
    used = [record.ai_metadata for record in dynamic if record.ai_metadata is not None]
    return {
        "generated": len(generated),
        "fallbacks": sum(1 for question in questions if question.question_source == "static_fallback"),
        "latency_ms": sum(waits),
        **{f"within_{limit}": sum(1 for wait in waits if wait <= limit) for limit in WITHIN_MS},
        "prompt_tokens": sum(int(use.total_prompt_tokens) for use in used),
        "completion_tokens": sum(int(use.total_completion_tokens) for use in used),
        "cost_millionths": sum(_units(use.total_cost_usd, 1_000_000) for use in used),
        **_grading(run),
    }


def _grading(run: Run) -> dict[str, int]:
    graded = [record.grading for record in run.interventions.values() if record.grading is not None]
    answers = (question for record in run.assessments.values() for question in record.questions)
    graded += [answer.ai_scoring for answer in answers if answer.ai_scoring is not None]
    return {
        "grading_prompt_tokens": sum(int(grade.prompt_tokens or 0) for grade in graded),
        "grading_completion_tokens": sum(int(grade.completion_tokens or 0) for grade in graded),
        "grading_cost_millionths": sum(_units(grade.cost_usd or 0, 1_000_000) for grade in graded),
    }


def _source(run: Run) -> str:
    """A digest of the versions of the items counted.

    Versions only grow, so it never comes back to an earlier value, even where the figures do.
    """
    versions = [("session", run.session.metadata.version)]
    versions += [(kind, record.metadata.version) for kind, record in run.assessments.items()]
    versions += [(str(number), record.metadata.version) for number, record in run.interventions.items()]
    versions += [("survey", int(run.survey is not None))]
    return hashlib.sha256(repr(sorted(versions)).encode()).hexdigest()[:32]
