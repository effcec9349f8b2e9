from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.models import InvalidField
from sessions_app.domain.session.record import DifferentAnswer, OutOfStep, Run
from sessions_app.domain.store import keys

from .cast import Participant, at_once

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def participant(table: str) -> Participant:
    """About to follow the first of two segments without questions between them."""
    return Participant.in_condition("L4-I3-S").walk_to("segment-1")


def tracked(stored: Items, run: Run) -> list[dict[str, Any]]:
    content, *_ = stored(keys.session(run.id), "CONTENT_DELIVERY")
    segments: list[dict[str, Any]] = content["segment_tracking"]
    return segments


def flags(run: Run) -> list[str]:
    return [flag for flag in run.session.metadata.data_quality_flags if flag != "condition_override"]


def test_the_choice_of_format_is_stored(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    run = participant.choose_format(format_chosen="text", speed=1.25, captions=True)
    content, *_ = stored(keys.session(run.id), "CONTENT_DELIVERY")
    assert content["delivery_preferences"] == {
        "format_chosen": "text",
        "playback_speed": pytest.approx(1.25),
        "captions_enabled": True,
        "language": "en-US",
    }
    assert content["content_metadata"]["duration_seconds"] == 600


def test_the_same_choice_again_changes_nothing(participant: Participant, everything: Everything) -> None:
    before = everything()
    participant.choose_format()
    assert everything() == before


def test_of_two_choices_the_first_one_stands_and_the_other_is_kept(participant: Participant) -> None:
    for _ in range(2):
        with pytest.raises(DifferentAnswer):
            participant.choose_format(format_chosen="video")
    after = Run.load(participant.run.id)
    assert after.content is not None
    assert after.content.delivery_preferences.format_chosen == "audio"
    assert [conflict.text for conflict in after.conflicts] == ["video, speed 1, without captions"]


def test_of_two_tabs_one_choice_stands(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    tabs = [Participant(Run.load(participant.run.id), now=participant.now) for _ in range(2)]
    ends = at_once(2, lambda n: tabs[n].choose_format(format_chosen=("audio", "text")[n]))
    content, *_ = stored(keys.session(participant.run.id), "CONTENT_DELIVERY")
    chosen = content["delivery_preferences"]["format_chosen"]
    (stands,) = [end for end in ends if isinstance(end, Run)]
    (refused,) = [end for end in ends if isinstance(end, DifferentAnswer)]
    assert stands.content is not None
    assert stands.content.delivery_preferences.format_chosen == chosen
    assert refused.same_submission is False


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("delivery_preferences.format_chosen", {"format_chosen": "smell"}),
        ("delivery_preferences.playback_speed", {"speed": 9.0}),
        ("delivery_preferences.captions_enabled", {"captions": "yes"}),
    ],
)
def test_an_impossible_choice_is_refused_by_field(
    table: str, everything: Everything, field: str, told: dict[str, Any]
) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    before = everything()
    with pytest.raises(InvalidField) as refused:
        participant.choose_format(**told)
    assert refused.value.field == field
    assert everything() == before


def test_playing_resumes_at_the_same_second(participant: Participant) -> None:
    participant.report(1, 41, position=41.3, played=40.9, pauses=1)
    content = Run.load(participant.run.id).content
    assert content is not None
    assert [t.position_seconds for t in content.segment_tracking] == [41.3]
    participant.report(1, 3, position=12.0, played=43.9, pauses=1, rewinds=1)
    content = Run.load(participant.run.id).content
    assert content is not None
    assert [(t.position_seconds, t.rewind_count) for t in content.segment_tracking] == [(12.0, 1)]


def test_an_old_report_changes_nothing(participant: Participant, everything: Everything) -> None:
    participant.report(1, position=60, played=60, pauses=2)
    before = everything()
    participant.report(1, position=30, played=30, pauses=1)
    assert everything() == before


def test_counters_never_fall(participant: Participant, stored: Items) -> None:
    participant.report(1, position=60, played=60, pauses=2, rewinds=3)
    participant.report(1, position=60, played=60, pauses=0, rewinds=0)
    participant.finish_segment(1, position=10, played=10, pauses=1, rewinds=1)
    segment, *_ = tracked(stored, participant.run)
    assert (segment["play_time_seconds"], segment["pause_count"], segment["rewind_count"]) == (60, 2, 3)


def test_nobody_plays_more_than_there_is(participant: Participant, stored: Items) -> None:
    participant.report(1, position=-5, played=9999)
    segment, *_ = tracked(stored, participant.run)
    assert (segment["position_seconds"], segment["play_time_seconds"]) == (0, 150)


def test_a_report_of_no_number_is_refused_by_field(participant: Participant, stored: Items) -> None:
    with pytest.raises(InvalidField) as refused:
        participant.report(1, position=10, played=float("nan"))
    assert refused.value.field.endswith("play_time_seconds")
    assert tracked(stored, participant.run) == []


def test_a_first_report_that_comes_late_does_not_shorten_the_time(
    participant: Participant, stored: Items
) -> None:
    began = participant.now
    participant.report(1, 90, position=90, played=90)
    run = participant.finish_segment(1, 60)
    segment, *_ = tracked(stored, run)
    assert segment["start_time"] == keys.stamp(began)
    assert flags(run) == []


def test_playing_at_double_speed_is_no_deviation(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    participant.choose_format(speed=2.0)
    participant.after(20)  # reads the page before it is played
    participant.report(1, 10, position=20, played=20)
    run = participant.finish_segment(1, 65)
    assert tracked(stored, run)[0]["start_time"] == keys.stamp(participant.now - timedelta(seconds=75))
    assert flags(run) == []


def test_a_segment_ends_with_its_engagement(participant: Participant, stored: Items) -> None:
    participant.report(1, 100, position=75, played=75)  # so it began to play 75 seconds ago
    run = participant.finish_segment(1, 200, pauses=2)
    segment, *_ = tracked(stored, run)
    assert float(segment["engagement_score"]) == round(150 / 275, 2)
    assert segment["completed"] is True
    assert run.step is not None
    assert run.step.slug == "segment-2"


def test_engagement_is_coverage_times_attention(participant: Participant, stored: Items) -> None:
    participant.finish_segment(1, 300, played=120)
    segment, *_ = tracked(stored, participant.run)
    assert float(segment["engagement_score"]) == round(120 / 150 * 120 / 300, 2)


def test_a_segment_that_was_cut_short_is_flagged(participant: Participant, stored: Items) -> None:
    run = participant.finish_segment(1, 100, position=100, played=100)
    assert tracked(stored, run)[0]["completed"] is False
    assert flags(Run.load(run.id)) == ["content_not_delivered"]


def test_what_was_heard_is_kept_once_each_and_within_the_segment(
    participant: Participant, stored: Items
) -> None:
    participant.report(1, 40, position=40, played=40, heard=((0, 20), (30, 40)), delivered_by="recording")
    participant.report(1, 41, position=41, played=41)  # a report that says nothing of it takes nothing back
    heard = ((0, 20), (30, 40), (15, 35.5), (140, 170))
    run = participant.finish_segment(1, 120, played=150, heard=heard, muted=12.34, delivered_by="recording")
    segment, *_ = tracked(stored, run)
    assert segment["heard"] == "0-40 140-150"
    assert (float(segment["heard_seconds"]), float(segment["muted_seconds"])) == (50, 12.3)
    assert segment["delivered_by"] == "recording"
    assert "skip_reason" not in segment


def test_a_part_that_was_left_early_has_its_reason(participant: Participant, stored: Items) -> None:
    run = participant.finish_segment(1, 30, position=30, played=30, skip_reason="no_sound")
    assert tracked(stored, run)[0]["skip_reason"] == "no_sound"
    assert flags(Run.load(run.id)) == ["content_not_delivered"]


def test_a_part_played_through_needs_no_reason(participant: Participant, stored: Items) -> None:
    run = participant.finish_segment(1, 150, skip_reason="staff")
    assert "skip_reason" not in tracked(stored, run)[0]


def test_playing_faster_than_the_clock_is_flagged(participant: Participant) -> None:
    run = participant.finish_segment(1, 60)
    assert flags(Run.load(run.id)) == ["timing_deviation"]


def test_a_segment_played_through_is_not_flagged(participant: Participant) -> None:
    run = participant.finish_segment(1, 151, played=143)
    assert flags(Run.load(run.id)) == []


def test_a_segment_ends_once(participant: Participant, everything: Everything) -> None:
    stale = Run.load(participant.run.id)
    participant.finish_segment(1)
    once = everything()
    participant.finish_segment(1, played=20)
    participant.report(1, position=10, played=10)
    participant.run = stale
    run = participant.finish_segment(1)
    assert run.step is not None
    assert run.step.slug == "segment-2"
    assert everything() == once


def test_two_tabs_end_a_segment_and_open_its_questions_once(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I1-S").walk_to("segment-1")
    tabs = [
        Participant(Run.load(participant.run.id), now=participant.now + timedelta(seconds=n)) for n in (0, 1)
    ]
    runs = at_once(2, lambda n: tabs[n].finish_segment(1))
    assert all(isinstance(run, Run) for run in runs), runs
    assert len(stored(keys.session(participant.run.id), "INTERVENTION#")) == 1
    assert {run.step.slug for run in runs} == {"questions-1/1"}


@pytest.mark.parametrize("segment_id", [2, 4])
def test_segments_are_played_in_order(
    participant: Participant, everything: Everything, segment_id: int
) -> None:
    before = everything()
    with pytest.raises(OutOfStep):
        participant.report(segment_id, position=1, played=1)
    with pytest.raises(OutOfStep):
        participant.finish_segment(segment_id)
    assert everything() == before


def test_a_segment_waits_for_its_questions(table: str) -> None:
    participant = Participant.in_condition("L4-I1-S").walk_to("questions-1/2")
    with pytest.raises(OutOfStep) as refused:
        participant.finish_segment(2)
    assert refused.value.step is not None
    assert refused.value.step.slug == "questions-1/2"


def test_nothing_is_counted_after_consent_was_withdrawn(
    participant: Participant, everything: Everything, withdraw: Callable[[str], None]
) -> None:
    withdraw(participant.run.session.student_id)
    before = everything()
    with pytest.raises(ConsentNotInForce):
        participant.report(1, position=10, played=10)
    with pytest.raises(ConsentNotInForce):
        participant.finish_segment(1)
    assert everything() == before


def test_the_totals_add_up_and_question_time_is_not_content_time(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I2-S").walk_to("segment-1")
    began = participant.now
    participant.finish_segment(1, pauses=1, rewinds=2)
    participant.finish_segment(2, played=75, pauses=3)
    participant.walk_to("final/1")
    content, *_ = stored(keys.session(participant.run.id), "CONTENT_DELIVERY")
    metrics = content["engagement_metrics"]
    assert metrics["total_play_time_seconds"] == 525
    assert (metrics["pause_count"], metrics["rewind_count"], metrics["segments_completed"]) == (4, 2, 3)
    assert float(metrics["completion_percentage"]) == 87.5
    assert metrics["start_time"] == keys.stamp(began)
    assert [t["segment_id"] for t in content["segment_tracking"]] == [1, 2, 3, 4]
    session, *_ = stored(keys.session(participant.run.id), "METADATA")
    assert session["completion_status"]["content_completed"] is True


def test_unknown_attributes_of_a_segment_survive(participant: Participant, raw: Any, stored: Items) -> None:
    participant.report(1, position=10, played=10)
    raw.update_item(
        Key={"PK": keys.session(participant.run.id), "SK": "CONTENT_DELIVERY"},
        UpdateExpression="SET segment_tracking[0].gaze = :gaze",
        ExpressionAttributeValues={":gaze": {"left": 3}},
    )
    participant.run = Run.load(participant.run.id)
    participant.report(1, position=20, played=20)
    participant.finish_segment(1)
    assert tracked(stored, participant.run)[0]["gaze"] == {"left": 3}


def test_a_report_and_an_end_are_one_write_each(participant: Participant, requests_made: list[str]) -> None:
    requests_made.clear()
    participant.report(1, position=10, played=10)
    assert requests_made == ["TransactWriteItems"]
    participant.finish_segment(1)
    assert requests_made == ["TransactWriteItems"] * 2
    for segment_id in (2, 3, 4):  # the last one opens questions and changes the session as well
        requests_made.clear()
        participant.finish_segment(segment_id)
        assert requests_made == ["TransactWriteItems"]
