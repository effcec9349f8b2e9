"""Items as other clients write them: fourteen kinds from a file, and more made from the first of them."""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from boto3.dynamodb.types import TypeSerializer

Typed = dict[str, Any]
"""An item as DynamoDB's own JSON."""

FILE = Path(__file__).with_name("items.json")
DAY_OF_FILE = "2026-11-30"
HUGE = "9" * 38
LONG = "long " * 8000
NUL: Typed = {"NULL": True}


def typed(item: dict[str, Any]) -> Typed:
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def from_file() -> dict[str, list[Typed]]:
    """The kinds of the file, of today, so that lists and the monitor show them."""
    text = FILE.read_text().replace(DAY_OF_FILE, today())
    kinds = json.loads(text, parse_float=Decimal)
    return {kind["kind"]: [typed(item) for item in kind["items"]] for kind in kinds}


def fresh() -> list[Typed]:
    """The whole good session of the file, under ids of its own."""
    text = json.dumps(from_file()["seed_shaped"])
    for old in set(re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", text)):
        text = text.replace(old, str(uuid.uuid4()))
    items: list[Typed] = json.loads(text)
    return items


def part(items: list[Typed], kind: str) -> Typed:
    return next(item for item in items if item["entity_type"]["S"] == kind)


def put(item: Typed, path: str, value: Typed | None) -> None:
    """At a dotted path; None takes it out."""
    target: Any = {"M": item}
    *way, last = path.split(".")
    for name in way:
        target = target["L"][int(name)] if name.isdigit() else target["M"][name]
    if value is None:
        del target["M"][last]
    elif last.isdigit():
        target["L"][int(last)] = value
    else:
        target["M"][last] = value


CHANGES: dict[str, dict[str, dict[str, Typed | None]]] = {
    "empty_maps": {
        "session": {"completion_status": {"M": {}}, "metadata": {"M": {}}, "student_metadata": {"M": {}}},
        "content_delivery": {"engagement_metrics": {"M": {}}, "delivery_preferences": {"M": {}}},
        "post_survey": {"location_experience": {"M": {}}, "survey_metadata": {"M": {}}},
        "assessment": {"assessment_results": {"M": {}}},
    },
    "null_maps": {
        "session": {"completion_status": NUL, "metadata": NUL, "student_metadata": NUL},
        "content_delivery": {"engagement_metrics": NUL, "segment_tracking": NUL, "metadata": NUL},
        "location_verification": {"verification": NUL, "gps_data": NUL, "location_data": NUL},
        "intervention": {"socratic_sequence": NUL, "intervention_summary": NUL, "ai_metadata": NUL},
        "assessment": {"questions": NUL, "metadata": NUL, "assessment_results": NUL},
        "post_survey": {"learning_experience": NUL, "metadata": NUL, "open_ended_responses": NUL},
        "student_profile": {
            "demographics": NUL,
            "consent_data": NUL,
            "learning_profile": NUL,
            "metadata": NUL,
        },
    },
    "null_assessment_metadata": {"assessment": {"assessment_metadata": NUL}},
    "null_intervention_metadata": {"intervention": {"intervention_metadata": NUL}},
    "lists_for_maps": {
        "session": {"completion_status": {"L": []}, "metadata": {"L": [{"S": "x"}]}},
        "content_delivery": {"engagement_metrics": {"L": []}},
        "assessment": {"assessment_results": {"L": [{"N": "1"}]}, "scoring_breakdown": {"L": []}},
        "student_profile": {"demographics": {"L": []}},
    },
    "numbers_for_text": {
        "session": {"state": {"N": "1"}, "facilitator": {"N": "2"}, "student_code": {"N": "3"}},
        "intervention": {
            "socratic_sequence.0.answer": {"N": "4"},
            "socratic_sequence.1.question": {"N": "5"},
        },
        "assessment": {"questions.2.student_answer": {"N": "6"}, "questions.0.question_id": {"N": "7"}},
        "student_profile": {"demographics.school": {"N": "8"}},
    },
    "booleans_for_numbers": {
        "session": {
            "completion_status.interventions_completed": {"BOOL": True},
            "metadata.version": {"BOOL": True},
        },
        "assessment": {
            "questions.0.points_earned": {"BOOL": True},
            "assessment_results.points_earned": {"BOOL": True},
        },
        "intervention": {"socratic_sequence.0.question_number": {"BOOL": False}},
        "post_survey": {"learning_experience.pacing_rating": {"BOOL": True}},
    },
    "digits": {
        "session": {"timeline.total_duration_seconds": {"N": HUGE}, "student_metadata.age": {"S": "1" * 39}},
        "assessment": {
            "questions.0.response_time_seconds": {"N": HUGE},
            "assessment_metadata.duration_seconds": {"N": "1E+125"},
        },
        "intervention": {
            "ai_metadata.total_cost_usd": {"N": HUGE},
            "socratic_sequence.0.answer_metadata.response_time_seconds": {"N": HUGE},
        },
        "content_delivery": {"engagement_metrics.total_play_time_seconds": {"N": HUGE}},
    },
    "no_metadata": {
        kind: {"metadata": None}
        for kind in (
            "session",
            "content_delivery",
            "assessment",
            "intervention",
            "post_survey",
            "location_verification",
            "student_profile",
        )
    },
    "binary": {
        "session": {"completion_status.completed": {"B": b"\x00\xff"}, "student_metadata.age": {"B": b"16"}},
        "assessment": {"student_id": {"B": b"id"}, "questions.2.student_answer": {"B": b"\xff"}},
        "intervention": {"socratic_sequence.0.answer": {"B": b"\xff"}},
    },
    "unknown_entity": {"session": {"entity_type": {"S": "sesion"}}},
    "no_entity_type": {"session": {"entity_type": None}},
    "unknown_part": {
        "post_survey": {"entity_type": {"S": "exit_poll"}},
        "content_delivery": {"entity_type": None},
    },
    "long_text": {
        "session": {
            "facilitator": {"S": LONG},
            "student_code": {"S": LONG},
            "experimental_condition.location_name": {"S": LONG},
        },
        "assessment": {"questions.2.student_answer": {"S": LONG}},
        "student_profile": {"demographics.school": {"S": LONG}},
    },
    "future": {
        "session": {
            "timeline.session_end": {"S": "2199-01-01T00:00:00Z"},
            "metadata.updated_at": {"S": "9999-12-31T23:59:59Z"},
        },
        "assessment": {"assessment_metadata.timestamp": {"S": "2150-01-01T00:00:00Z"}},
        "student_profile": {"metadata.created_at": {"S": "0001-01-01T00:00:00Z"}},
    },
    "negative": {
        "session": {
            "timeline.total_duration_seconds": {"N": "-2520"},
            "timeline.content_duration_seconds": {"N": "-1"},
        },
        "assessment": {
            "questions.0.response_time_seconds": {"N": "-12"},
            "assessment_metadata.duration_seconds": {"N": "-5"},
        },
        "post_survey": {"survey_metadata.duration_seconds": {"N": "-9"}},
        "content_delivery": {"segment_tracking.0.duration_seconds": {"N": "-150"}},
    },
    "casing": {
        "session": {
            "experimental_condition.location": {"S": "ON_SITE"},
            "experimental_condition.intervention_type": {"S": "DYNAMIC"},
        },
        "location_verification": {
            "verification.method": {"S": "QR_CODE"},
            "location_data.type": {"S": "ON_SITE"},
        },
        "intervention": {"intervention_metadata.type": {"S": "Dynamic"}},
    },
    "final_completed": {
        "session": {
            "completion_status.final_assessment_completed": {"BOOL": False},
            "completion_status.final_completed": {"BOOL": True},
        }
    },
    "midpoint": {"assessment": {"assessment_metadata.type": {"S": "midpoint"}}},
    "odd_elements": {
        "assessment": {"questions": {"L": [NUL, {"M": {}}, {"S": "q3"}]}},
        "intervention": {"socratic_sequence": {"L": [NUL, {"M": {}}, {"N": "3"}]}},
        "content_delivery": {"segment_tracking": {"L": [{"N": "1"}, {"M": {}}]}},
        "session": {"metadata.data_quality_flags": {"L": [{"N": "1"}, {"S": "made_up"}]}},
    },
    "sets": {
        "session": {"metadata.data_quality_flags": {"SS": ["resumed", "late_sync"]}},
        "student_profile": {"learning_profile.prior_knowledge_topics": {"SS": ["civil_war"]}},
    },
    "contradiction": {"session": {"experimental_condition.condition_code": {"S": "L4-I3-S"}}},
    "interval_in_words": {"session": {"experimental_condition": {"M": {"interval_minutes": {"S": "five"}}}}},
    "running_without_status": {
        "session": {"completion_status": NUL, "state": {"S": "running"}, "timeline.session_end": None}
    },
    "running_without_content": {
        "session": {"completion_status.completed": {"BOOL": False}, "state": {"S": "running"}},
        "content_delivery": {"content_metadata": NUL, "segment_tracking": NUL, "metadata": NUL},
    },
    "markup": {
        "session": {"facilitator": {"S": "<script>alert(1)</script>"}, "state": {"S": "<b>"}},
        "intervention": {"socratic_sequence.0.answer": {"S": "</textarea><script>alert(1)</script>"}},
    },
}


def changed(kind: str) -> list[Typed]:
    items = fresh()
    for name, changes in CHANGES[kind].items():
        item = part(items, name)
        for path, value in changes.items():
            put(item, path, copy.deepcopy(value))
    return items


def _naive(items: list[Typed]) -> list[Typed]:
    """No timestamp has a zone, in keys neither."""
    text = re.sub(r"(\d\d:\d\d:\d\d)Z", r"\1", json.dumps(items))
    found: list[Typed] = json.loads(text)
    return found


def _without_profile(items: list[Typed]) -> list[Typed]:
    return [item for item in items if item["entity_type"]["S"] != "student_profile"]


def _renamed(items: list[Typed], suffix: str) -> list[Typed]:
    """Ids that no address can hold."""
    text = json.dumps(items)
    for name in ("session_id", "student_id"):
        old = part(items, "session")[name]["S"]
        text = text.replace(old, f"{old[:8]}{suffix}")
    found: list[Typed] = json.loads(text)
    return found


WHOLE: dict[str, Callable[[list[Typed]], list[Typed]]] = {
    "naive_everywhere": _naive,
    "without_profile": _without_profile,
    "dot_id": lambda items: _renamed(items, ".b.c"),
    "slash_id": lambda items: _renamed(items, "/../?x=#y"),
    "long_id": lambda items: _renamed(items, "x" * 300),
}


def invented() -> dict[str, list[Typed]]:
    made = {kind: changed(kind) for kind in CHANGES}
    return made | {kind: change(fresh()) for kind, change in WHOLE.items()}


# --- beside every item that is there, what is left of it


def _bare(name: str, value: Typed) -> Typed | None:
    return None


def _null(name: str, value: Typed) -> Typed | None:
    return dict(NUL)


def _text(name: str, value: Typed) -> Typed | None:
    return {"S": "odd"}


def _number(name: str, value: Typed) -> Typed | None:
    return {"N": "7"}


WRECKS = {"bare": _bare, "null": _null, "text": _text, "number": _number, "unknown": _text}
FIXED = ("METADATA", "PROFILE", "LOCATION_VERIFICATION", "CONTENT_DELIVERY", "POST_SURVEY")


def wrecks(items: list[Typed]) -> Iterator[tuple[str, Typed]]:
    """For one item of each entity type: the same keys, and none of its attributes as it should be."""
    seen: set[str] = set()
    for item in items:
        entity = item["entity_type"]["S"]
        if entity in seen:
            continue
        seen.add(entity)
        for name, wreck in WRECKS.items():
            yield f"{entity}, {name}", _wrecked(item, name, wreck)


def _wrecked(item: Typed, name: str, wreck: Callable[[str, Typed], Typed | None]) -> Typed:
    made: Typed = {}
    for attribute, value in item.items():
        key = attribute in ("PK", "SK", "entity_type") or attribute.startswith("GSI")
        kept = value if key else wreck(attribute, value)
        if kept is not None:
            made[attribute] = kept
    if name == "unknown":
        made["entity_type"] = {"S": "no_such_entity"}
    if item["SK"]["S"] in FIXED:
        made["PK"] = {"S": f"{item['PK']['S'].split('#')[0]}#{name}-{uuid.uuid4().hex[:8]}"}
    else:
        made["SK"] = {"S": f"{item['SK']['S']}-{name}"}
    return made
