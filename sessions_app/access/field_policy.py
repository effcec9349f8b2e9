"""Who sees which attribute of which entity, and which exports carry it. What is not named here goes nowhere.

Pages, records, charts and exports ask this table and nothing else. A rule is (roles, exports, paths); paths
are those of the data dictionary, and `a.{b c}` stands for `a.b a.c`. Rules name single values: a map is seen
as far as its values are, and an attribute that no rule names, also inside a known map, is shown to nobody. A
test fails for each attribute of the models without a rule. `DERIVED` holds the computed columns of exports.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from ..domain.models.session import FLAGS, Session
from ..domain.store.items import Item, Map
from ..domain.store.lenient_reading import Remark

# F facilitator (own sites only), R researcher, I review board, A administrator
ROLES: Final = {"F": "facilitator", "R": "researcher", "I": "irb", "A": "admin"}
NONE: Final = frozenset[str]()
FULL: Final = frozenset({"full"})
CODED: Final = FULL | {"coded"}
PUBLIC: Final = CODED | {"public"}

SAFEGUARDING: Final = "safeguarding"
SHARED_FLAGS: Final = tuple(flag for flag in FLAGS if flag != SAFEGUARDING)
"""That a student wrote of danger is nobody's business outside of the study: no coded export says it."""

DERIVED: Final = "derived"
COMMON: Final = "item"
"""Of what every item has: keys and type. An entity may say otherwise for its own."""

_QUALITY = """{question_clarity question_relevance answer_depth answer_accuracy engagement_level
    builds_on_previous synthesis_quality location_integration}"""
_CONDITION = "experimental_condition"
_ASKED = "{socratic_sequence static_questions}[]"
_SCORED = "{human_scoring second_scoring}"

_TABLE: Final[Mapping[str, tuple[tuple[str, frozenset[str], str], ...]]] = {
    COMMON: (("FRIA", NONE, "PK SK entity_type GSI{1 2 3 4 5}PK GSI{1 2 3 4 5}SK"),),
    # --- students and consent
    "student_profile": (
        ("FRIA", CODED, "student_id demographics.{age grade_level} metadata.{simulated realm}"),
        ("FRIA", CODED, "consent_data.{irb_consent_date data_sharing_consent}"),
        ("FRIA", FULL, "student_code consent_data.state"),
        ("FRIA", NONE, "consent_data.{parent_consent student_assent withdrawn_at required version}"),
        ("FRIA", NONE, "consent_data.{permission assent}.{form_id version sha256 event_id given_at kind}"),
        ("FRIA", NONE, "consent_data.review.{state by at} metadata.{created_at updated_at created_by}"),
        ("FIA", FULL, "demographics.school"),
        ("FRA", CODED, "demographics.richmond_resident metadata.total_sessions"),
        ("FRA", CODED, "learning_profile.{depth_preference learning_style prior_knowledge_topics}"),
        ("FRA", NONE, "metadata.{conditions_completed open_session}"),
    ),
    "student_directory_entry": (
        ("FRIA", NONE, "student_id student_code consent_state review_state created_at simulated realm"),
        ("FIA", NONE, "school"),
        ("A", NONE, "GSI1PK"),  # the digest of the school's name
    ),
    "school": (("FIA", NONE, "name"),),
    "roster": (
        ("FIA", NONE, "roster_id name school size refusals created_at created_by"),
        ("A", NONE, "site rows_sha256 GSI1PK"),
    ),
    "roster_entry": (
        (
            "FA",
            NONE,
            "student_code roster_id student_id number age grade_level richmond_resident enrolled_at",
        ),
        ("FA", NONE, "learning_profile.{depth_preference learning_style prior_knowledge_topics}"),
    ),
    "consent_event": (
        (
            "FRIA",
            NONE,
            "student_id event_id kind action form_id form_version form_sha256 relation method",
        ),
        ("FRIA", NONE, "signed_on affirmed data_sharing data_kept attested_by at outcome reason"),
    ),
    "form_text": (("FRIA", NONE, "kind form_id version title text first_used"),),
    "renewal_decision": (
        ("IA", NONE, "kind form_version reason decided_by decided_at last_code looked_at marked finished_at"),
    ),
    "erasure_task": (  # the page of open erasures is for the review board and administrators
        ("IA", NONE, "student_id by asked_at left tries tried_at retry_at last_error"),
        ("A", NONE, "student_code sessions"),
    ),
    "tombstone": (  # all learn that data were erased; a facilitator can finish an erasure of their own
        ("FRIA", NONE, "student_id state erased_at"),
        ("FIA", NONE, "by asked_at proved_at"),
        ("IA", NONE, "sessions session_ids items exports sealed_reasons"),
    ),
    # --- sessions
    "session": (
        (
            "FRA",
            PUBLIC,
            "experimental_condition.{location interval_minutes intervention_type condition_code}",
        ),
        ("FRA", CODED, "session_id student_id content_id allocation.method"),
        ("FRA", CODED, "allocation.{attempt earlier_sessions farthest_stage}"),
        ("FRA", CODED, "timeline.{session_start session_end total_duration_seconds}"),
        ("FRA", CODED, "timeline.{content intervention assessment}_duration_seconds"),
        (
            "FRA",
            CODED,
            "completion_status.{completed location_verified}",
        ),
        (
            "FRA",
            CODED,
            "completion_status.{baseline content interventions final_assessment post_survey}_completed",
        ),
        ("FRA", CODED, "student_metadata.{age grade richmond_resident prior_knowledge_score}"),
        ("FRA", CODED, "metadata.{simulated realm}"),
        ("FRA", NONE, "metadata.data_quality_flags"),  # exports have `derived.data_quality_flags`
        ("FRA", FULL, "student_code facilitator allocation.reason experimental_condition.location_name"),
        ("FRA", NONE, "state allocation.by pages_cached_at metadata.{created_at updated_at version}"),
        ("FRA", NONE, "metadata.void.{at by kind reason}"),
        ("A", NONE, "site"),
    ),
    "location_verification": (
        ("FRA", CODED, "verification.{method confidence} device_info.device_type"),
        ("FRA", FULL, "verification.{override_reason attested_by}"),
        ("FRA", FULL, "gps_data.{accuracy_meters distance_from_target_meters}"),
        ("FRA", CODED, "session_id student_id"),
        ("FRA", NONE, "location_data.{type name address} gps_data.geofence_validated"),
        ("FRA", NONE, "verification.{verified verification_timestamp} metadata.timestamp"),
        ("A", FULL, "gps_data.{latitude longitude} device_info.{os browser user_agent} metadata.ip_address"),
        ("A", NONE, "metadata.{session_token session_token_sha256}"),
    ),
    "content_delivery": (
        ("FRA", CODED, "content_metadata.content_version"),
        ("FRA", CODED, "delivery_preferences.{format_chosen playback_speed captions_enabled language}"),
        ("FRA", CODED, "engagement_metrics.{total_play_time_seconds total_elapsed_time_seconds pause_count}"),
        ("FRA", CODED, "engagement_metrics.{rewind_count segments_completed completion_percentage}"),
        ("FRA", CODED, "segment_tracking[].{segment_id start_time end_time duration_seconds completed}"),
        ("FRA", CODED, "segment_tracking[].{engagement_score position_seconds play_time_seconds}"),
        ("FRA", CODED, "segment_tracking[].{pause_count rewind_count held_seconds}"),
        ("FRA", CODED, "segment_tracking[].{delivered_by heard heard_seconds muted_seconds skip_reason}"),
        ("FRA", CODED, "session_id student_id"),
        ("FRA", NONE, "content_metadata.{content_id topic duration_seconds}"),
        ("FRA", NONE, "content_metadata.difficulty_level engagement_metrics.{start_time end_time}"),
        ("FRA", NONE, "segment_tracking[].{submission_id report}"),
        ("FRA", NONE, "metadata.{created_at updated_at submission_id held_seconds}"),
    ),
    "intervention": (
        ("FRA", CODED, "intervention_metadata.{sequence_number timestamp segment_id}"),
        ("FRA", CODED, f"{_ASKED}.{{question_number timestamp question question_source answer}}"),
        ("FRA", CODED, f"{_ASKED}.question_metadata.{{model prompt_tokens completion_tokens cost_usd}}"),
        ("FRA", CODED, f"{_ASKED}.question_metadata.{{generation_time_ms attempts}}"),
        ("FRA", CODED, f"{_ASKED}.answer_metadata.{{timestamp response_time_seconds word_count}}"),
        ("FRA", CODED, f"{_ASKED}.answer_metadata.{{character_count held_seconds}}"),
        ("FRA", CODED, f"{_ASKED}.{{quality_scores model_scores}}.{_QUALITY} {_ASKED}.human_scoring.at"),
        ("FRA", CODED, "intervention_summary.{total_duration_seconds avg_response_time_seconds}"),
        ("FRA", CODED, "intervention_summary.{avg_question_quality avg_answer_depth progression_quality}"),
        ("FRA", CODED, "intervention_summary.location_awareness_utilized grading.{model graded_at cost_usd}"),
        ("FRA", CODED, "ai_metadata.{model_version total_prompt_tokens total_completion_tokens}"),
        ("FRA", CODED, "ai_metadata.{total_cost_usd avg_generation_time_ms}"),
        ("FRA", FULL, f"intervention_id {_ASKED}.human_scoring.by"),
        ("FRA", CODED, "session_id student_id"),
        ("FRA", NONE, "intervention_metadata.{type segment_summary}"),
        ("FRA", NONE, "location_context.{location_type location_name location_aware_prompting}"),
        ("FRA", NONE, f"{_ASKED}.question_metadata.{{temperature incorporates_previous_answer}}"),
        ("FRA", NONE, f"{_ASKED}.question_metadata.{{synthesis_question rejected}}"),
        ("FRA", NONE, f"{_ASKED}.answer_metadata.submission_id {_ASKED}.second_scoring.{{by at}}"),
        ("FRA", NONE, f"{_ASKED}.{_SCORED}.{{breakdown raw_score note}}"),
        ("FRA", NONE, "intervention_summary.{questions_asked no_adaptive_followup}"),
        ("FRA", NONE, "grading.{prompt_tokens completion_tokens}"),
        ("FRA", NONE, "metadata.{created_at updated_at version data_quality_flags}"),
    ),
    "assessment": (
        ("FRA", CODED, "assessment_results.score_percentage learning_gain.absolute_gain"),
        ("FRA", CODED, "assessment_metadata.{type version timestamp duration_seconds}"),
        ("FRA", CODED, "questions[].{question_id question_type student_answer is_correct points}"),
        ("FRA", CODED, "questions[].{points_earned response_time_seconds difficulty answered_at}"),
        ("FRA", CODED, "questions[].held_seconds questions[].ai_scoring.{model raw_score feedback}"),
        ("FRA", CODED, f"questions[].{_SCORED}.raw_score metadata.grading_method"),
        ("FRA", CODED, "assessment_results.{total_questions questions_answered correct_answers}"),
        ("FRA", CODED, "assessment_results.{total_points points_earned avg_response_time_seconds}"),
        ("FRA", CODED, "scoring_breakdown.{multiple_choice short_answer}_{score possible}"),
        ("FRA", CODED, "scoring_breakdown.{mc sa}_percentage learning_gain.{relative normalized}_gain"),
        ("FRA", FULL, "assessment_id questions[].human_scoring.by"),
        ("FRA", CODED, "session_id student_id"),
        ("FRA", NONE, "assessment_metadata.content_topic"),
        ("FRA", NONE, "questions[].{question_text options correct_answer rubric_points submission_id}"),
        ("FRA", NONE, "questions[].ai_scoring.{rubric_breakdown graded_at prompt_tokens}"),
        ("FRA", NONE, "questions[].ai_scoring.{completion_tokens cost_usd} questions[].second_scoring.by"),
        ("FRA", NONE, f"questions[].{_SCORED}.{{at breakdown note}}"),
        ("FRA", NONE, "learning_gain.{baseline final}_score metadata.{created_at updated_at version}"),
    ),
    "post_survey": (
        ("FRA", PUBLIC, "location_experience.location_impact_rating"),
        ("FRA", PUBLIC, "intervention_experience.intervention_helpful_rating"),
        ("FRA", PUBLIC, "learning_experience.overall_experience_rating"),
        ("FRA", CODED, "survey_metadata.{version timestamp duration_seconds held_seconds}"),
        ("FRA", CODED, "location_experience.{location_enhanced_understanding location_was_distracting}"),
        ("FRA", CODED, "location_experience.{would_recommend_location location_feedback}"),
        (
            "FRA",
            CODED,
            "intervention_experience.questions_{were_engaging were_appropriate promoted_thinking}",
        ),
        ("FRA", CODED, "intervention_experience.{preferred_intervention_type intervention_feedback}"),
        ("FRA", CODED, "learning_experience.{content_difficulty content_interest pacing}_rating"),
        ("FRA", CODED, "learning_experience.{would_recommend_experience general_feedback}"),
        ("FRA", CODED, "technical_experience.{interface_easy_to_use audio_quality_rating}"),
        ("FRA", CODED, "technical_experience.technical_{issues_encountered feedback}"),
        ("FRA", CODED, "open_ended_responses.{most_valuable_aspect least_valuable_aspect}"),
        ("FRA", CODED, "open_ended_responses.{suggestions_for_improvement additional_comments}"),
        ("FRA", CODED, "session_id student_id"),
        ("FRA", NONE, "metadata.{created_at updated_at submission_id}"),
    ),
    "prepared_question": (
        ("FRA", NONE, "session_id segment_id question question_source data_quality_flags created_at"),
        ("FRA", NONE, "question_metadata.{model prompt_tokens completion_tokens generation_time_ms}"),
        ("FRA", NONE, "question_metadata.{temperature incorporates_previous_answer synthesis_question}"),
        ("FRA", NONE, "question_metadata.{cost_usd attempts rejected}"),
    ),
    "answer_conflict": (("FRA", NONE, "session_id stage question kind submission_id text at held_seconds"),),
    "browser": (
        ("FRA", NONE, "browser_id session_id kind bound_at by ended_at"),
        ("FRA", NONE, "pin_tries password_tries password_tried_at"),
        ("A", NONE, "token_sha256"),
    ),
    "participant_link": (
        ("FRA", NONE, "session_id created_at created_by expires_at revoked_at revoked_by"),
        ("A", NONE, "token_sha256"),
    ),
    "open_call": (("FA", NONE, "call_id session_id at"),),  # for those who answer calls
    "call": (
        ("FRA", NONE, "call_id session_id kind text at by answered_at answered_by shown_at"),
        # whoever opens a session while a safeguarding call waits has to know what to do about it
        ("FRA", NONE, "sign step"),
    ),
    # --- statistics
    "condition_statistics": (
        ("RA", NONE, "condition.{location interval intervention}"),
        ("RA", NONE, "date_range.{start_date end_date days_elapsed} sums histograms revision layout"),
        ("RA", NONE, "sample_statistics.{total_sessions completed_sessions completion_rate}"),
        ("RA", NONE, "sample_statistics.{unique_students avg_session_duration_seconds}"),
        ("RA", NONE, "learning_outcomes.{baseline final}_assessment.{mean median min max}_score"),
        ("RA", NONE, "learning_outcomes.{baseline final}_assessment.{std_dev n}"),
        ("RA", NONE, "learning_outcomes.learning_gain.{mean median}_absolute_gain"),
        ("RA", NONE, "learning_outcomes.learning_gain.{mean_normalized_gain effect_size_cohens_d}"),
        ("RA", NONE, "learning_outcomes.learning_gain.students_with_{gains no_change losses}"),
        ("RA", NONE, "intervention_metrics.avg_{interventions_per_session intervention_duration_seconds}"),
        ("RA", NONE, "intervention_metrics.avg_{questions_per_intervention response_time_seconds}"),
        ("RA", NONE, "intervention_metrics.avg_{question_quality_score answer_depth_score}"),
        ("RA", NONE, "intervention_metrics.avg_progression_quality"),
        ("RA", NONE, "engagement_metrics.avg_{content_completion_rate pause_count rewind_count}"),
        ("RA", NONE, "engagement_metrics.avg_engagement_score"),
        ("RA", NONE, "survey_results.avg_{location_impact intervention_helpful overall_experience}"),
        ("RA", NONE, "survey_results.would_recommend_pct"),
        ("RA", NONE, "metadata.{last_updated aggregation_version auto_generated}"),
    ),
    "contribution": (
        (
            "RA",
            NONE,
            "session_id student_id condition_code realm day sums histograms source revision layout "
            "updated_at",
        ),
    ),
    "condition_month": (("RA", NONE, "condition_code month layout sums extremes students"),),
    "day_counts": (
        ("RA", NONE, "day started completed stopped abandoned withdrawn gains gain_units"),
        ("RA", NONE, "revision layout"),
    ),
    "counted_student": (("RA", NONE, "student_id sessions revision"),),
    # --- work of the site
    "allocation": (
        ("RA", NONE, "session_id student_id condition_code method reason by at candidates counts"),
        ("RA", NONE, "stratum attempt"),
        ("", NONE, "seed"),  # for whoever repeats a draw from the table itself
    ),
    "student_allocation": (
        ("RA", NONE, "student_id condition_code method session_id at stratum attempts places"),
    ),
    "allocation_tally": (("RA", NONE, "counts"),),
    "grading_task": (("RA", NONE, "session_id what queued_at attempts not_before last_failure"),),
    "review": (
        ("RA", NONE, "session_id kind what scored_at record_version"),
        ("RA", NONE, "answers[].{question in_sample model human human_by second second_by}"),
    ),
    "export_job": (
        ("RA", NONE, "export_id state profile reason asked_by asked_at tries sessions_total sessions_done"),
        ("RA", NONE, "rows excluded finished_at expires_at fault file.{name sha256 size version}"),
        ("RA", NONE, "filters.{start end conditions levels labels simulated} claim.{begun_at seen_at}"),
        ("A", NONE, "claim.token"),
    ),
    "export_recall": (("RIA", NONE, "withdrawn_at"),),
    "question_making": (("A", NONE, "session_id segment_id question_number maker began awaited"),),
    "spending": (("RA", NONE, "scope microdollars updated_at"),),
    "tutor_health": (("FRA", NONE, "since last_failure_at reason"),),
    "dead_letter": (
        (
            "A",
            NONE,
            "duty record_pk record_sk reason first_at last_at tries retry_at dismissed.{by at reason}",
        ),
    ),
    "worker_heartbeat": (  # dashboards say how old their figures are; the rest is for administrators
        ("RA", NONE, "beat_at duties[].{name failing_since as_of}"),
        ("A", NONE, "worker started_at duties[].{done_at error}"),
    ),
    "stream_checkpoint": (("A", NONE, "worker shard_id sequence_number finished updated_at"),),
    "analysis_plan": (
        ("RIA", NONE, "version sha256 text plan_version reason created_at locked_at unlocked_at"),
        (
            "RIA",
            NONE,
            "first_real_session {lock unlock}.{researcher researcher_at review review_role review_at}",
        ),
    ),
    "study_settings": (("IA", NONE, "values_in_force updated_at"),),
    "audit_entry": (
        ("IA", NONE, "entry_id at by role action student_id session_id subject old new reason reason_sha256"),
        ("IA", NONE, "event_digests"),
    ),
    "audit_reason": (("IA", NONE, "entry_id reason"), ("", NONE, "salt")),
    "audit_seal": (
        ("IA", NONE, "sequence entry_key entry_sha256 previous sha256 sealed_at"),
        ("IA", NONE, "key_id mac outage_from outage_to"),
    ),
    "audit_head": (("IA", NONE, "sequence sha256 first_day last_day updated_at signed_from key_id mac"),),
    "audit_sealer": (("IA", NONE, "at key_id mac outage_from outage_to"),),
    # --- columns of exports that are computed
    DERIVED: (
        ("", CODED, f"week age_band distance_band state flag_{{{' '.join(SHARED_FLAGS)}}}"),
        ("", CODED, "data_quality_flags"),
        ("", FULL, f"flag_{SAFEGUARDING}"),
        ("", PUBLIC, "baseline_score final_score learning_gain group_size"),
        ("", CODED, "relative_gain normalized_gain score points_earned"),
        ("", CODED, "model_score human_score second_human_score"),
        ("", CODED, "interventions_total questions_answered answers"),
        ("", CODED, "avg_question_quality avg_answer_depth avg_response_time_seconds"),
        ("", CODED, "stage segment number shown_at stored_at seconds held_seconds simulated realm"),
    ),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Roles by name, and profiles of exports."""

    roles: frozenset[str]
    exports: frozenset[str]


NOBODY: Final = Rule(NONE, NONE)


def _expanded(paths: str) -> Iterator[str]:
    for word in re.findall(r"(?:[^\s{}]|\{[^{}]*\})+", paths):
        yield from _alternatives(word)


def _alternatives(word: str) -> Iterator[str]:
    found = re.fullmatch(r"([^{}]*)\{([^{}]*)\}(.*)", word, re.DOTALL)
    if found is None:
        yield word
        return
    before, names, after = found.groups()
    for name in names.split():
        yield from _alternatives(f"{before}{name}{after}")


def _rules(entity: str) -> Iterator[tuple[str, Rule]]:
    for letters, exports, paths in _TABLE[entity]:
        rule = Rule(frozenset(ROLES[letter] for letter in letters), exports)
        yield from ((path, rule) for path in _expanded(paths))


RULES: Final[Mapping[str, Mapping[str, Rule]]] = {entity: dict(_rules(entity)) for entity in _TABLE}


def rule(entity: str, path: str) -> Rule:
    """Of a value at a path of the data dictionary; NOBODY where none is named."""
    return RULES.get(entity, {}).get(path) or RULES[COMMON].get(path, NOBODY)


def sees(roles: frozenset[str], entity: str, path: str) -> bool:
    return bool(rule(entity, path).roles & roles)


def missing(entity: str, paths: Iterable[str]) -> list[str]:
    """Of all attributes of an entity those without a rule; maps and lists that only hold others need none."""
    known = list(paths)
    holders = {path.rpartition(".")[0].removesuffix("[]") for path in known}
    return [path for path in known if path not in holders and rule(entity, path) is NOBODY]


def readers(entity: str) -> frozenset[str]:
    """The roles that see anything of an entity; nobody for one that is not named."""
    return frozenset().union(*(each.roles for each in RULES.get(entity, {}).values()))


# --- the arm of a session that has not ended

ARM: Final = (
    "experimental_condition.interval_minutes",
    "experimental_condition.intervention_type",
    "experimental_condition.condition_code",
    "allocation.reason",
    "GSI1PK",
    "GSI4PK",
)
DYNAMIC_FLAGS: Final = frozenset({"ai_fallback", "offline_tutor"})
"""Flags that only sessions with dynamic questions have."""


def hides_arm(session: Session, roles: frozenset[str]) -> bool:
    """Facilitators learn the arm when the session has ended, so that it guides nobody before."""
    return roles <= {"facilitator"} and session.is_open and session.is_readable


# --- items without what a reader does not see

Thing = TypeVar("Thing")


def masked(thing: Thing, roles: frozenset[str]) -> Thing:
    """A copy for a page, never to be stored: without what these roles do not see and what no rule names.

    Items are also found inside lists, maps and dataclasses; what holds none comes back as it is.
    """
    shown: Any = thing
    if isinstance(thing, Item):
        shown = _masked_item(thing, roles)
    elif isinstance(thing, dict):
        shown = _or_same(thing, {name: masked(value, roles) for name, value in thing.items()})
    elif type(thing) in (list, tuple):
        values = [masked(value, roles) for value in cast("Sequence[Any]", thing)]
        shown = _or_same(thing, values if isinstance(thing, list) else tuple(values))
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        held = {each.name: getattr(thing, each.name) for each in dataclasses.fields(thing) if each.init}
        changed = {name: new for name, old in held.items() if (new := masked(old, roles)) is not old}
        shown = dataclasses.replace(thing, **changed) if changed else thing
    typed: Thing = shown
    return typed


def _or_same(thing: Any, copied: Any) -> Any:
    """The copy, if anything in it differs."""
    old, new = (each.values() if isinstance(each, dict) else each for each in (thing, copied))
    return thing if all(a is b for a, b in zip(old, new, strict=True)) else copied


def _masked_item(item: Item, roles: frozenset[str]) -> Item:
    discriminator: Any = Item.get_attributes()["entity_type"]
    entity = str(discriminator.get_discriminator(type(item)))
    shown: Any = _masked_map(item, roles, entity, "")
    if isinstance(item, Session) and hides_arm(item, roles):
        _hide_arm(shown)
    shown.faults = _about(item.faults, roles, entity)
    shown.adjustments = _about(item.adjustments, roles, entity)
    typed: Item = shown
    return typed


def _hide_arm(shown: Session) -> None:
    """Of a masked copy, which shares no map with the item itself."""
    shown.is_arm_hidden = True
    for path in ARM:
        *parents, name = path.split(".")
        holder: Any = shown
        for parent in parents:
            holder = holder.attribute_values.get(parent) if holder is not None else None
        if holder is not None:
            holder.attribute_values.pop(name, None)
    flags = shown.metadata.data_quality_flags or []
    shown.metadata.data_quality_flags = [flag for flag in flags if flag not in DYNAMIC_FLAGS]


def _about(remarks: Iterable[Remark], roles: frozenset[str], entity: str) -> tuple[Remark, ...]:
    """Remarks about a value may quote it; those about a map or a list name only its kind."""
    paths = [(remark, re.sub(r"\[\d+\]", "[]", remark[0])) for remark in remarks]
    return tuple(
        remark for remark, path in paths if sees(roles, entity, path) or _sees_below(roles, entity, path)
    )


def _sees_below(roles: frozenset[str], entity: str, holder: str) -> bool:
    below = (f"{holder}.", f"{holder}[]")
    return any(rule.roles & roles for path, rule in RULES.get(entity, {}).items() if path.startswith(below))


def _masked_map(container: Any, roles: frozenset[str], entity: str, prefix: str) -> Any:
    shown = copy.copy(container)
    unknown = getattr(container, "unknown", {})  # the kind of an item that no model is for stands here
    shown.unknown = {name: held for name, held in unknown.items() if sees(roles, entity, f"{prefix}{name}")}
    shown.attribute_values = {
        name: value
        for name, held in container.attribute_values.items()
        if (value := _value(held, roles, entity, f"{prefix}{name}")) is not None
    }
    return shown


def _value(held: Any, roles: frozenset[str], entity: str, path: str) -> Any:
    if isinstance(held, Map):
        return _masked_map(held, roles, entity, f"{path}.")
    if isinstance(held, list) and (not held or any(isinstance(each, Map) for each in held)):
        return [_masked_map(each, roles, entity, f"{path}[].") for each in held if isinstance(each, Map)]
    return held if sees(roles, entity, path) else None
