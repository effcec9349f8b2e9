"""Class lists: read with every problem named, stored once, and erased with the student."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sessions_app.domain.models import AuditEntry, Roster, RosterEntry, Student
from sessions_app.domain.participants import codes, enrolment, erasure, roster_csv, rosters
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Refused

from .cast import AGES, FACILITATOR, NOON, PACKAGE, agreements

SCHOOL = "Fall Line High School"
LIST = "age,grade,richmond\n16,10,yes\n17,11,no\n16,10,yes\n"
Everything = Callable[[], list[dict[str, Any]]]


def store(text: str = LIST, *, name: str = "Period 3", seed: int | None = None) -> Roster:
    sheet = roster_csv.read(text, ages=AGES)
    source = random.Random(seed)
    return rosters.store(sheet, name=name, school=SCHOOL, source=source, by=FACILITATOR, now=NOON)


def enrolled(entry: RosterEntry) -> Student:
    return enrolment.enrol(
        student_id=entry.student_id,
        demographics={"age": entry.age, "grade_level": 10, "school": SCHOOL, "richmond_resident": True},
        learning_profile={},
        agreements=agreements(int(entry.age)),
        data_sharing=False,
        forms=PACKAGE.forms,
        ages=AGES,
        source=random.Random(),
        by=FACILITATOR,
        now=NOON,
        entry=entry,
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_byte_order_mark_and_any_separator_are_read(separator: str) -> None:
    data = ("\ufeff" + LIST.replace(",", separator).replace("\n", "\r\n")).encode()
    sheet = roster_csv.read(roster_csv.decoded(data), ages=AGES)
    assert sheet.is_clean
    assert [row.age for row in sheet.rows] == [16, 17, 16]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "picture"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "picture"),
        (b"PK\x03\x04", "workbook"),
        (b"a" * 200_001, "too large"),
    ],
)
def test_what_is_no_csv_is_refused_in_plain_words(data: bytes, word: str) -> None:
    with pytest.raises(roster_csv.NotAList, match=word):
        roster_csv.decoded(data)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "nothing"),
        ("age,grade,richmond\n", "no students"),
        ("First Name,age,grade,richmond\nAnn,16,10,yes\n", "personal"),
        ("age,grade,richmond,shoe\n16,10,yes,9\n", "shoe"),
        ("age,grade\n16,10\n", "richmond"),
        ("age,age,grade,richmond\n16,16,10,yes\n", "same name"),
        ("age,grade,richmond\n" + "16,10,yes\n" * 3000, "3,000 students"),
    ],
)
def test_a_list_that_is_wrong_as_a_whole_says_why(text: str, word: str) -> None:
    with pytest.raises(roster_csv.NotAList, match=word):
        roster_csv.read(text, ages=AGES)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("160,10,yes", "age"),
        ("9,4,yes", "from 14 to 18"),
        ("²,10,yes", "age"),
        ("16,0,yes", "grade"),
        ("16,10,maybe", "richmond"),
        ("=1+1,10,yes", "formula"),
        ("16,10,yes,more", "more cells"),
        ("16", "grade"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(line: str, problem: str) -> None:
    sheet = roster_csv.read(f"age,grade,richmond\n16,10,yes\n{line}\n", ages=AGES)
    good, bad = sheet.lines
    assert good.row
    assert not sheet.is_clean
    assert bad.number == 3
    assert problem in " ".join(bad.problems)


def test_repeated_and_almost_equal_codes_are_seen() -> None:
    head = "code,age,grade,richmond\n"
    twice = roster_csv.read(f"{head}river-oak-7,16,10,yes\nRiver Oak 7,16,10,yes\n", ages=AGES)
    assert "line 2" in twice.lines[1].problems[0]
    near = roster_csv.read(f"{head}river-oak-7,16,10,yes\nrivr-oak-7,16,10,yes\n", ages=AGES)
    assert roster_csv.near_duplicates(near.rows) == [("river-oak-7", "rivr-oak-7")]


@pytest.mark.parametrize(
    "written",
    ["river-oak-7", "River Oak 7", "river–oak—7", "RIVER_OAK_07", " river - oak7 ", "river\u2212oak\u20117"],
)
def test_codes_are_taken_as_people_write_them(written: str) -> None:
    assert codes.as_stored(written) == "river-oak-7"


def test_a_misspelled_code_leads_to_the_one_that_was_meant() -> None:
    assert "river-oak-7" in codes.similar("rivr-oack-7")
    assert codes.similar("nothing") == []


def test_importing_twice_changes_nothing(table: str, everything: Everything) -> None:
    first = store()
    before = everything()
    again = store(name="period  3")
    assert again.roster_id == first.roster_id
    assert everything() == before
    assert [entry.number for entry in first.entries()] == [1, 2, 3]


def test_another_list_of_the_same_name_is_refused(table: str, everything: Everything) -> None:
    store()
    before = everything()
    with pytest.raises(rosters.NameTaken):
        store("age,grade,richmond\n15,9,no\n")
    assert everything() == before


def test_two_facilitators_import_at_once_and_one_list_is_stored(table: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda seed: store(seed=seed), range(4)))
    assert len({roster.roster_id for roster in made}) == 1
    assert len(made[0].entries()) == 3
    entries = [each for each in AuditEntry.on_day(NOON.date()) if each.action == "roster.import"]
    assert len(entries) == 1


def test_a_given_code_of_another_student_is_refused(table: str) -> None:
    code = enrolled(store().entries()[0]).student_code
    with pytest.raises(rosters.CodesTaken, match=str(code)):
        store(f"code,age,grade,richmond\n{code},16,10,yes\n", name="Period 4")


def test_enrollment_takes_over_the_code_and_repeats_harmlessly(table: str) -> None:
    entry = store().entries()[0]
    student = enrolled(entry)
    assert student.student_code == entry.student_code
    assert enrolled(entry).student_id == student.student_id
    found = RosterEntry.with_code(str(entry.student_code))
    assert found
    assert found.enrolled_at == NOON


def test_a_refusal_is_counted_once_and_leaves_no_trace_of_whose_it_was(
    table: str, everything: Everything
) -> None:
    roster = store()
    entry = roster.entries()[1]
    assert rosters.count_refusal(roster, entry, by=FACILITATOR, now=NOON)
    assert not rosters.count_refusal(roster, entry, by=FACILITATOR, now=NOON)
    assert Roster.by_id(roster.roster_id).refusals == 1
    assert str(entry.student_code) not in str(everything())
    assert any(item.get("action") == "roster.refuse" for item in everything())
    with pytest.raises(Refused, match="roster"):
        enrolled(entry)


def test_an_entry_is_erased_with_its_student(table: str) -> None:
    entry = store().entries()[0]
    student = enrolled(entry)
    assert any(pk == keys.ROSTER_DIRECTORY for pk, _ in _places(student))


def _places(student: Student) -> list[tuple[str, str]]:
    erasure.bury(student.student_id, by=FACILITATOR, now=NOON)
    return list(erasure.places(erasure._remember(student.student_id, student)))


def test_who_has_not_enrolled_is_removed_and_the_rest_stays(everything: Everything) -> None:
    roster = store()
    first, second, third = roster.entries()
    student = enrolled(first)
    assert rosters.count_refusal(roster, second, by=FACILITATOR, now=NOON)
    assert rosters.remove_unenrolled(roster, by=FACILITATOR, now=NOON) == 1
    assert [entry.student_id for entry in roster.entries()] == [student.student_id]
    assert Roster.by_id(str(roster.roster_id)).refusals == 1
    assert str(third.student_id) not in str(everything())
    assert rosters.remove_unenrolled(roster, by=FACILITATOR, now=NOON) == 0


def test_a_list_from_which_nobody_enrolled_or_refused_goes_whole(everything: Everything) -> None:
    roster = store()
    assert rosters.remove_unenrolled(roster, by=FACILITATOR, now=NOON) == 3
    left = [item for item in everything() if "roster" in item["entity_type"]]
    assert left == []
    actions = [item.action for item in AuditEntry.on_day(NOON.date()) if isinstance(item, AuditEntry)]
    assert sorted(actions) == ["roster.import", "roster.remove"]
    store()  # under the same name again


def test_enrolling_and_removing_at_once_lose_nobody_who_enrolled() -> None:
    roster = store()
    entries = roster.entries()
    with ThreadPoolExecutor(4) as together:
        enrolling = [together.submit(enrolled, entry) for entry in entries]
        removing = together.submit(rosters.remove_unenrolled, roster, by=FACILITATOR, now=NOON)
        done = [future.result() for future in enrolling if not future.exception()]
        removed = removing.result()
    kept = {entry.student_id for entry in roster.entries() if entry.enrolled_at}
    assert kept == {student.student_id for student in done}
    assert len(kept) + removed == len(entries)
