"""The four example analyses of the schema document, as they stand there.

Changed only so that they run and are right: every query follows LastEvaluatedKey; of index GSI4, which
sessions share, what has no `intervention_summary` is left out (the document's loop stops at the first one).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Table = Any


def pages(table: Table, **asked: Any) -> Iterator[dict[str, Any]]:
    """The items of a query, all of them."""
    while True:
        answer = table.query(**asked)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def by_index(table: Table, index: str, partition: str) -> Iterator[dict[str, Any]]:
    return pages(
        table,
        IndexName=index,
        KeyConditionExpression=f"{index}PK = :pk",
        ExpressionAttributeValues={":pk": partition},
    )


def assessments_of(table: Table, session_id: str) -> dict[str, dict[str, Any]]:
    found = pages(
        table,
        KeyConditionExpression="PK = :pk AND begins_with(SK, :sk_prefix)",
        ExpressionAttributeValues={":pk": f"SESSION#{session_id}", ":sk_prefix": "ASSESSMENT#"},
    )
    return {each["assessment_metadata"]["type"]: each for each in found}


def _mean(values: list[Any]) -> float:
    return float(sum(values) / len(values)) if values else 0


def learning_gains_by_condition(
    table: Table, location: str, interval: float, intervention: str
) -> dict[str, Any] | None:
    """Example 1."""
    gains = []
    for session in list(by_index(table, "GSI1", f"CONDITION#{location}#{interval}#{intervention}")):
        assessments = assessments_of(table, session["session_id"])
        if "baseline" in assessments and "final" in assessments:
            baseline = assessments["baseline"]["assessment_results"]["score_percentage"]
            final = assessments["final"]["assessment_results"]["score_percentage"]
            gain = final - baseline
            gains.append(
                {
                    "session_id": session["session_id"],
                    "student_id": session["student_id"],
                    "baseline": baseline,
                    "final": final,
                    "absolute_gain": gain,
                    "normalized_gain": gain / (100 - baseline) if baseline < 100 else 0,
                }
            )
    if not gains:
        return None
    means = {
        f"avg_{name}": _mean([each[name] for each in gains])
        for name in ("baseline", "final", "absolute_gain", "normalized_gain")
    }
    return {"n": len(gains), **means, "individual_gains": gains}


def intervention_quality(table: Table, start_date: str, end_date: str) -> dict[str, Any]:
    """Example 2."""
    names = {
        "question_quality": "avg_question_quality",
        "answer_depth": "avg_answer_depth",
        "response_time": "avg_response_time_seconds",
    }
    found: dict[str, dict[str, list[Any]]] = {}
    for kind in ("dynamic", "static"):
        found[kind] = {name: [] for name in names}
        for item in pages(
            table,
            IndexName="GSI4",
            KeyConditionExpression="GSI4PK = :intervention AND GSI4SK BETWEEN :start AND :end",
            ExpressionAttributeValues={
                ":intervention": f"INTERVENTION#{kind}",
                ":start": start_date,
                ":end": end_date,
            },
        ):
            if summary := item.get("intervention_summary"):
                for name, attribute in names.items():
                    found[kind][name].append(summary.get(attribute, 0))
    told: dict[str, Any] = {
        kind: {f"avg_{name}": _mean(values) for name, values in lists.items()}
        | {"n": len(lists["answer_depth"])}
        for kind, lists in found.items()
    }
    depths = {kind: [float(value) for value in lists["answer_depth"]] for kind, lists in found.items()}
    if told["dynamic"]["n"] > 0 and told["static"]["n"] > 0:
        squares = sum(
            (value - told[kind]["avg_answer_depth"]) ** 2
            for kind, values in depths.items()
            for value in values
        )
        pooled = math.sqrt(squares / (told["dynamic"]["n"] + told["static"]["n"] - 2))
        difference = told["dynamic"]["avg_answer_depth"] - told["static"]["avg_answer_depth"]
        told["effect_size_cohens_d"] = difference / pooled
    return told


def location_impact(table: Table) -> dict[str, dict[str, Any]]:
    """Example 3."""
    results = {}
    for location in ("on-site", "learning-space", "classroom", "home"):
        sessions = list(by_index(table, "GSI3", f"LOCATION#{location}"))
        gains, ratings = [], []
        for session in sessions:
            session_id = session["session_id"]
            assessments = assessments_of(table, session_id)
            survey = table.get_item(Key={"PK": f"SESSION#{session_id}", "SK": "POST_SURVEY"})
            if "Item" in survey:
                ratings.append(survey["Item"]["location_experience"]["location_impact_rating"])
            if "baseline" in assessments and "final" in assessments:
                baseline = assessments["baseline"]["assessment_results"]["score_percentage"]
                final = assessments["final"]["assessment_results"]["score_percentage"]
                gains.append(final - baseline)
        results[location] = {
            "n": len(sessions),
            "avg_learning_gain": _mean(gains),
            "avg_location_rating": _mean(ratings),
        }
    return results


def dashboard_stats(table: Table, date: str) -> dict[str, Any]:
    """Example 4."""
    sessions = list(by_index(table, "GSI5", f"DATE#{date}"))
    total = len(sessions)
    completed = sum(1 for each in sessions if each["completion_status"]["completed"])
    conditions: dict[str, int] = {}
    locations: dict[str, int] = {}
    for session in sessions:
        told = session["experimental_condition"]
        conditions[told["condition_code"]] = conditions.get(told["condition_code"], 0) + 1
        locations[told["location"]] = locations.get(told["location"], 0) + 1
    return {
        "date": date,
        "total_sessions": total,
        "completed_sessions": completed,
        "completion_rate": (completed / total * 100) if total > 0 else 0,
        "sessions_by_condition": conditions,
        "sessions_by_location": locations,
    }


# --- the batch export


def whole_session(table: Table, session_id: str) -> list[dict[str, Any]]:
    return list(
        pages(
            table,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": f"SESSION#{session_id}"},
        )
    )


def flatten_session_data(items: list[dict[str, Any]]) -> dict[str, Any]:
    """One row for a session, as the document makes it."""
    row: dict[str, Any] = {}
    quality: list[Any] = []
    depth: list[Any] = []
    for item in items:
        if item["SK"] == "METADATA":
            row |= {
                "session_id": item["session_id"],
                "student_id": item["student_id"],
                "location": item["experimental_condition"]["location"],
                "interval": item["experimental_condition"]["interval_minutes"],
                "intervention_type": item["experimental_condition"]["intervention_type"],
                "session_start": item["timeline"]["session_start"],
                "total_duration": item["timeline"]["total_duration_seconds"],
                "completed": item["completion_status"]["completed"],
            }
        elif item["SK"].startswith("ASSESSMENT#"):
            row |= _assessment_columns(item)
        elif item["SK"].startswith("INTERVENTION#"):
            row["interventions_total"] = row.get("interventions_total", 0) + 1
            summary = item.get("intervention_summary", {})
            quality += [summary[name] for name in ("avg_question_quality",) if name in summary]
            depth += [summary[name] for name in ("avg_answer_depth",) if name in summary]
        elif item["SK"] == "POST_SURVEY":
            row |= {
                "location_impact_rating": item["location_experience"]["location_impact_rating"],
                "intervention_helpful_rating": item["intervention_experience"]["intervention_helpful_rating"],
                "overall_experience_rating": item["learning_experience"]["overall_experience_rating"],
            }
    return row | {"avg_question_quality": _mean(quality), "avg_answer_depth": _mean(depth)}


def _assessment_columns(item: dict[str, Any]) -> dict[str, Any]:
    kind = "baseline" if item["SK"].startswith("ASSESSMENT#baseline") else "final"
    columns = {
        f"{kind}_score": item["assessment_results"]["score_percentage"],
        f"{kind}_mc_score": item["scoring_breakdown"]["mc_percentage"],
        f"{kind}_sa_score": item["scoring_breakdown"]["sa_percentage"],
    }
    if kind == "final":
        columns |= {
            "learning_gain": item["learning_gain"]["absolute_gain"],
            "normalized_gain": item["learning_gain"].get("normalized_gain"),
        }
    return columns
