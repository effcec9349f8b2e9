"""Loads a content package: narration, questions, rubrics, survey, places and consent forms, as data.

`load()` reads a folder of TOML and Markdown files into a frozen `Package`, or raises `ContentFaults`
with everything that is wrong with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from sessions_app.domain.content import captions
from sessions_app.domain.content.reader import Fault, Reader
from sessions_app.domain.content.schema import (
    TOTAL_POINTS,
    AnalysisPlan,
    AssessmentItem,
    ConsentForm,
    Contact,
    Criterion,
    FormBlock,
    KeyConcept,
    Location,
    Manifest,
    Package,
    Review,
    Segment,
    SurveyField,
    SurveyGroup,
    SurveyOption,
    blocks_of,
)
from sessions_app.domain.store.keys import LOCATIONS
from sessions_app.domain.survey_fields import SURVEY_FIELDS

__all__ = [
    "AnalysisPlan",
    "AssessmentItem",
    "ConsentForm",
    "ContentFaults",
    "Criterion",
    "Fault",
    "FormBlock",
    "KeyConcept",
    "Location",
    "Package",
    "Review",
    "Segment",
    "SurveyField",
    "SurveyGroup",
    "SurveyOption",
    "blocks_of",
    "load",
]

# A form for children under 14 is only needed by a study that takes them in.
REQUIRED_FORMS: Final = ("parental_permission", "assent", "adult_consent")
SEGMENTS: Final = (1, 2, 3, 4)
NARRATION_WORDS: Final = (200, 600)
MEDIA: Final = ("audio", "video", "captions")
QUESTION_TYPES: Final = {"multiple_choice": 7, "short_answer": 3}


class ContentFaults(Exception):
    """Everything that is wrong with a package, in the order of its files."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def load(folder: Path, *, with_media: bool = True) -> Package:
    """Read and check the package in `folder`. Raises ContentFaults with all its faults.

    Without media the recordings and captions that its segments name are neither read nor looked for.
    """
    if not folder.is_dir():
        raise ContentFaults([Fault(str(folder), "folder", "there is no such folder")])
    reader = Reader(folder)
    raw = reader.toml("manifest.toml")
    manifest = None if raw is None else reader.build(Manifest, raw, file="manifest.toml")
    segments = _segments(reader, manifest, with_media)
    items = _assessment(reader, manifest)
    survey, locations, forms = _survey(reader), _locations(reader), _forms(reader)
    contacts, debrief, plan = _contacts(reader), _debrief(reader), _plan(reader)
    if manifest is None or plan is None or reader.faults:
        raise ContentFaults(reader.faults)
    return Package(
        **dict(manifest),
        segments=segments,
        assessment=items,
        survey=survey,
        locations=locations,
        contacts=contacts,
        forms=forms,
        plan=plan,
        debrief=debrief,
        folder=folder,
    )


def _segments(reader: Reader, manifest: Manifest | None, with_media: bool) -> tuple[Segment, ...]:
    file = "segments.toml"
    raw = reader.entries(file, "segment")
    found = tuple(each for entry in raw if (each := _segment(reader, file, entry, with_media)))
    if not raw or len(found) < len(raw):
        return found
    if tuple(each.segment_id for each in found) != SEGMENTS:
        reader.blame(file, "segment_id", "the segments must be numbered 1, 2, 3, 4 in this order")
    total = sum(each.duration_seconds for each in found)
    if manifest and total != manifest.duration_seconds:
        message = f"the segments last {total} s, the manifest says {manifest.duration_seconds} s"
        reader.blame(file, "duration_seconds", message)
    return found


def _segment(reader: Reader, file: str, raw: dict[str, Any], with_media: bool) -> Segment | None:
    if not with_media:
        raw = {key: value for key, value in raw.items() if key not in MEDIA}
    number = raw.get("segment_id")
    under = f"segment[{number}]"
    if "narration" in raw:
        reader.blame(file, f"{under}.narration", f"is not a known field: it belongs in segments/{number}.md")
    # A bad number has no narration to read; the model then says what is wrong with the number.
    name = f"segments/{number}.md"
    text = reader.text(name) if number in SEGMENTS else None
    if "sentence_starts" in raw:
        reader.blame(file, f"{under}.sentence_starts", "is not a known field: the captions tell it")
    segment = reader.build(Segment, {**raw, "narration": text or "-"}, file=file, under=under)
    wrong = list(_narration_rules(text)) if text is not None else []
    reader.blame_all(name, wrong)
    if segment:
        reader.blame_all(file, _segment_rules(segment, reader.folder / "media"), under=under)
        has_captions = segment.captions and (reader.folder / "media" / segment.captions).is_file()
        if has_captions and text is not None and not wrong:
            return _captioned(reader, segment)
    return segment


def _captioned(reader: Reader, segment: Segment) -> Segment:
    """The segment with the seconds at which its sentences begin."""
    name = f"media/{segment.captions}"
    try:
        found = captions.read(reader.text(name) or "")
    except ValueError as error:
        reader.blame(name, "captions", str(error))
        return segment
    wrong = captions.faults(found, segment.sentences, segment.duration_seconds)
    reader.blame_all(name, (("captions", message) for message in wrong))
    return segment.model_copy(update={"sentence_starts": tuple(caption.start for caption in found)})


def _narration_rules(text: str) -> Iterator[tuple[str, str]]:
    low, high = NARRATION_WORDS
    words = len(text.split())
    if not low <= words <= high:
        yield "narration", f"has {words} words, not {low} to {high}"


def _segment_rules(segment: Segment, media: Path) -> Iterator[tuple[str, str]]:
    for place in LOCATIONS.values():
        if place not in segment.framing:
            yield f"framing.{place}", "is missing"
    for field in MEDIA:
        name = getattr(segment, field)
        if name and not (media / name).is_file():
            yield field, f"there is no file media/{name}"
    if segment.audio and not segment.captions:
        yield "captions", "is missing: a recording has captions (manage.py narrate makes both)"


def _assessment(reader: Reader, manifest: Manifest | None) -> tuple[AssessmentItem, ...]:
    file = "assessment.toml"
    raw = reader.entries(file, "item")
    found = []
    for entry in raw:
        under = f"item[{entry.get('question_id')}]"
        if item := reader.build(AssessmentItem, entry, file=file, under=under):
            reader.blame_all(file, _item_rules(item), under=under)
            found.append(item)
    reader.blame_all(file, _repeated("question_id", (item.question_id for item in found)))
    # Totals over a part of the items would only mislead.
    if raw and len(found) == len(raw):
        reader.blame_all(file, _assessment_rules(found))
        named = set(manifest.review.new_items if manifest else ())
        for unknown in sorted(named - {item.question_id for item in found}):
            reader.blame("manifest.toml", "review.new_items", f"there is no item {unknown}")
    return tuple(found)


def _assessment_rules(items: list[AssessmentItem]) -> Iterator[tuple[str, str]]:
    kinds = Counter(str(item.question_type) for item in items)
    for kind, wanted in QUESTION_TYPES.items():
        if kinds[kind] != wanted:
            yield "item", f"there are {kinds[kind]} of type {kind}, not {wanted}"
    points = sum(item.points for item in items)
    if points != TOTAL_POINTS:
        yield "points", f"the items have {points} points in all, not {TOTAL_POINTS}"


def _item_rules(item: AssessmentItem) -> Iterator[tuple[str, str]]:
    if item.question_type == "multiple_choice":
        yield from _choice_rules(item)
    else:
        yield from _rubric_rules(item)


def _choice_rules(item: AssessmentItem) -> Iterator[tuple[str, str]]:
    if item.points != 1:
        yield "points", f"a multiple choice item has 1 point, not {item.points}"
    if len(item.options) < 2:
        yield "options", "at least two are needed"
    yield from _repeated("options", item.options)
    if item.correct_answer not in item.options:
        yield "correct_answer", f"{item.correct_answer!r} is not one of the options"
    if item.rubric:
        yield "rubric", "belongs to short answers only"


def _rubric_rules(item: AssessmentItem) -> Iterator[tuple[str, str]]:
    if item.options or item.correct_answer:
        yield "options", "options and correct_answer belong to multiple choice only"
    if not item.rubric:
        yield "rubric", "is missing: a short answer needs named criteria"
        return
    yield from _repeated("rubric", (each.name for each in item.rubric))
    most = sum(each.points for each in item.rubric)
    if most < item.points:
        yield "rubric", f"its criteria reach {most:g} points, the item has {item.points}"


def _survey(reader: Reader) -> tuple[SurveyGroup, ...]:
    file = "survey.toml"
    raw = reader.entries(file, "group")
    found = []
    for entry in raw:
        name = str(entry.get("name"))
        if group := reader.build(SurveyGroup, entry, file=file, under=name):
            reader.blame_all(file, _group_rules(group), under=name)
            found.append(group)
    names = [str(entry.get("name")) for entry in raw]
    reader.blame_all(file, _repeated("group", names))
    reader.blame_all(file, ((each, "is missing") for each in SURVEY_FIELDS if raw and each not in names))
    return tuple(found)


def _group_rules(group: SurveyGroup) -> Iterator[tuple[str, str]]:
    if group.name not in SURVEY_FIELDS:
        yield "name", "is not a group of the survey"
        return
    kinds = SURVEY_FIELDS[group.name]
    names = [field.name for field in group.fields]
    yield from _repeated("fields", names)
    yield from ((name, "is missing") for name in kinds if name not in names)
    for field in group.fields:
        if field.name in kinds:
            yield from _field_rules(field, kinds[field.name])
        else:
            yield field.name, "is not a field of this group"


def _field_rules(field: SurveyField, kind: str) -> Iterator[tuple[str, str]]:
    if field.kind != kind:
        yield f"{field.name}.kind", f"is {field.kind}, but this field stores a {kind}"
    if field.kind == "rating" and not (field.low_label and field.high_label):
        yield f"{field.name}.low_label", "a rating needs low_label and high_label"
    if field.kind == "choice" and len(field.options) < 2:
        yield f"{field.name}.options", "a choice needs at least two"
    if field.kind != "choice" and field.options:
        yield f"{field.name}.options", "belong to a choice only"
    yield from _repeated(f"{field.name}.options", (each.value for each in field.options))


def _locations(reader: Reader) -> tuple[Location, ...]:
    file = "locations.toml"
    raw = reader.entries(file, "location")
    found = []
    for entry in raw:
        under = f"location[{entry.get('code')}]"
        if place := reader.build(Location, entry, file=file, under=under):
            reader.blame_all(file, _location_rules(place), under=under)
            found.append(place)
    codes = [str(entry.get("code")) for entry in raw]
    reader.blame_all(file, _repeated("code", codes))
    missing = [code for code in LOCATIONS if raw and code not in codes]
    reader.blame_all(file, ((f"location[{code}]", "is missing") for code in missing))
    return tuple(found)


def _location_rules(place: Location) -> Iterator[tuple[str, str]]:
    if place.code not in LOCATIONS:
        yield "code", f"{place.code!r} is not one of {', '.join(LOCATIONS)}"
    elif place.key != LOCATIONS[place.code]:
        yield "key", f"is {place.key!r}, but {place.code} is {LOCATIONS[place.code]!r}"
    if place.key == "home" and place.method != "honor_system":
        yield "method", "at home it is honor_system: no position is ever asked for there"
    for name in ("latitude", "longitude", "radius_meters"):
        given = getattr(place, name) is not None
        if place.method == "GPS" and not given:
            yield name, "is missing: GPS needs a center and a radius"
        if place.method != "GPS" and given:
            yield name, f"has no meaning with the method {place.method}"


def _plan(reader: Reader) -> AnalysisPlan | None:
    file = "plan.toml"
    raw = reader.toml(file)
    return None if raw is None else reader.build(AnalysisPlan, {**raw, "text": reader.text(file)}, file=file)


def _contacts(reader: Reader) -> tuple[Contact, ...]:
    file = "contacts.toml"
    built = [
        reader.build(Contact, entry, file=file, under=f"contact[{number}]")
        for number, entry in enumerate(reader.entries(file, "contact"), start=1)
    ]
    return tuple(contact for contact in built if contact is not None)


def _debrief(reader: Reader) -> tuple[FormBlock, ...]:
    """What a student reads after the last step; the contacts follow it. A package may do without."""
    if not (reader.folder / "debrief.md").exists():
        return ()
    text = reader.text("debrief.md")
    return blocks_of(text.strip()) if text else ()


def _forms(reader: Reader) -> tuple[ConsentForm, ...]:
    found: list[ConsentForm] = []
    kinds: list[str] = []
    readable = True
    for path in sorted((reader.folder / "forms").glob("*.md")):
        name = f"forms/{path.name}"
        parts = reader.front_matter(name)
        if parts is None:
            readable = False
            continue
        kinds.append(str(parts[0].get("kind")))
        if form := reader.build(ConsentForm, {**parts[0], "text": parts[1]}, file=name):
            found.append(form)
    reader.blame_all("forms", _repeated("kind", kinds))
    reader.blame_all("forms", _repeated("form_id", (form.form_id for form in found)))
    # An unreadable file may be the very form that seems to be missing.
    missing = [kind for kind in REQUIRED_FORMS if readable and kind not in kinds]
    reader.blame_all("forms", ((kind, "is missing") for kind in missing))
    return tuple(found)


def _repeated(field: str, values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value, times in Counter(values).items():
        if times > 1:
            yield field, f"{value!r} stands {times} times"
