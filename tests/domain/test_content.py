"""The shipped package meets the study's figures, and every kind of fault is named by file and field."""

import json
import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from sessions_app.domain.content.package import ContentFaults, Package, load
from sessions_app.domain.survey_fields import SURVEY_FIELDS

SHIPPED = Path(__file__).parents[2] / "content" / "tredegar-iron-works-v1"
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def package() -> Package:
    return load(SHIPPED)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "package"))


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file.name} no longer holds {old!r}"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def faults_of(folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(ContentFaults) as caught:
        load(folder)
    return [(fault.file, fault.field) for fault in caught.value.faults]


def syllables(word: str) -> int:
    word = word.lower()
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith(("le", "ee"))
    silent = silent or (word.endswith("ed") and not word.endswith(("ted", "ded")))
    return max(1, groups - silent)


def grade(text: str) -> float:
    """Flesch-Kincaid: 0.39 words a sentence + 11.8 syllables a word - 15.59."""
    sentences = len([each for each in re.split(r"[.!?]+", text) if each.strip()])
    words = re.findall(r"[A-Za-z']+", text)
    return 0.39 * len(words) / sentences + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


# The shipped package


def test_it_has_the_ids_and_versions_that_sessions_record(package: Package) -> None:
    assert (package.content_id, package.content_version) == ("tredegar-iron-works-v1", "1.1")
    assert (package.topic, package.content_topic) == ("Tredegar Iron Works History", "tredegar-iron-works")
    assert (package.difficulty_level, package.language) == ("grade_9-12", "en-US")
    assert (package.assessment_version, package.survey_version) == ("v1.0", "v1.0")
    assert package.static_question_set == "predefined_set_v1"
    assert package.folder == SHIPPED


def test_four_segments_of_150_seconds_make_600(package: Package) -> None:
    assert [each.segment_id for each in package.segments] == [1, 2, 3, 4]
    assert [each.duration_seconds for each in package.segments] == [150] * 4
    assert package.duration_seconds == 600


def test_the_debrief_is_in_plain_words_and_may_be_missing(package: Package, copy: Path) -> None:
    kinds = [block.kind for block in package.debrief]
    assert kinds[0] == "heading"
    assert set(kinds) == {"heading", "paragraph"}
    words = " ".join(line for block in package.debrief if block.kind == "paragraph" for line in block.lines)
    assert grade(words) < 8
    (copy / "debrief.md").unlink()
    assert load(copy).debrief == ()


def test_every_sentence_has_its_second_in_the_recording(package: Package) -> None:
    for segment in package.segments:
        assert segment.audio == f"segment-{segment.segment_id}.mp3"
        assert len(segment.sentence_starts) == len(segment.sentences)
        assert segment.sentence_starts[0] == 0
        assert [sentence for sentence, _ in segment.timed_sentences] == list(segment.sentences)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_narration_has_about_370_words_at_reading_grade_9_to_10(package: Package, number: int) -> None:
    segment = package.segment(number)
    assert 350 <= segment.word_count <= 390
    assert 8.5 <= grade(segment.narration) <= 10.5
    assert 4 <= len(segment.paragraphs) <= 7
    assert " ".join(segment.sentences) == " ".join(segment.paragraphs)


def test_each_segment_has_a_summary_of_one_sentence_and_four_to_six_concepts(package: Package) -> None:
    for segment in package.segments:
        assert segment.summary.count(".") == 1
        assert segment.summary.endswith(".")
        assert 4 <= len(segment.key_concepts) <= 6


def test_the_narration_touches_each_of_its_key_concepts(package: Package) -> None:
    for segment in package.segments:
        text = segment.narration.lower()
        missed = [each.phrase for each in segment.key_concepts if not any(cue in text for cue in each.cues)]
        assert missed == []


def test_static_questions_are_three_a_segment_all_different(package: Package) -> None:
    questions = [question for segment in package.segments for question in segment.static_questions]
    assert len(set(questions)) == 12
    assert all(question.count("?") == 1 for question in questions)


def test_every_segment_is_framed_for_every_kind_of_place(package: Package) -> None:
    for segment in package.segments:
        assert set(segment.framing) == {"on-site", "learning-space", "classroom", "home"}


def test_ten_items_are_worth_seven_and_eight_points(package: Package) -> None:
    points: dict[str, list[int]] = {"multiple_choice": [], "short_answer": []}
    for item in package.assessment:
        points[item.question_type].append(item.points)
    assert points == {"multiple_choice": [1] * 7, "short_answer": [3, 3, 2]}
    assert {item.difficulty for item in package.assessment} == {"easy", "medium", "hard"}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_three_given_items_stand_as_given(package: Package, number: int) -> None:
    given = json.loads((EXAMPLES / "assessment-final.json").read_text(encoding="utf-8"))["questions"][number]
    item = package.item(given["question_id"])
    for name in ("question_text", "question_type", "points", "difficulty"):
        assert getattr(item, name) == given[name]
    assert list(item.options) == given.get("options", [])
    assert item.correct_answer == given.get("correct_answer")
    graded = given.get("ai_scoring", {}).get("rubric_breakdown", {})
    assert {each.name: each.points for each in item.rubric} == graded


def test_the_new_items_wait_for_a_historian(package: Package) -> None:
    assert not package.review.reviewed
    assert set(package.review.new_items) == {item.question_id for item in package.assessment} - {
        "q1",
        "q2",
        "q3",
    }


def test_the_right_answer_is_not_always_in_the_same_place(package: Package) -> None:
    chosen = [item for item in package.assessment if item.correct_answer]
    places = [item.options.index(str(item.correct_answer)) for item in chosen]
    assert set(places) == {0, 1, 2, 3}


def test_the_survey_fields_are_the_attributes_of_the_table(package: Package) -> None:
    stored = json.loads((EXAMPLES / "post_survey.json").read_text(encoding="utf-8"))
    kinds = {int: {"rating"}, bool: {"yes_no"}, str: {"text", "choice"}}
    for group in package.survey:
        fields = {field.name: field.kind for field in group.fields}
        assert [name for name in fields if name in stored[group.name]] == list(stored[group.name])
        assert all(fields[name] in kinds[type(value)] for name, value in stored[group.name].items())
    assert [group.name for group in package.survey] == list(SURVEY_FIELDS)


def test_ratings_and_yes_no_are_required_but_for_the_sound(package: Package) -> None:
    fields = [field for group in package.survey for field in group.fields]
    asked = {field.name for field in fields if field.kind in ("rating", "yes_no")}
    assert {field.name for field in fields if field.required} == asked - {"audio_quality_rating"}


def test_survey_labels_are_at_reading_grade_8_or_below(package: Package) -> None:
    for group in package.survey:
        assert grade(" ".join(field.label for field in group.fields)) <= 8


def test_a_choice_can_be_used_as_form_choices(package: Package) -> None:
    field = next(each for each in package.survey[1].fields if each.kind == "choice")
    assert [value for value, label in field.options if label] == ["static", "dynamic"]


def test_the_places_are_those_of_the_study(package: Package) -> None:
    assert [(each.code, each.key, each.method) for each in package.locations] == [
        ("L1", "on-site", "GPS"),
        ("L2", "learning-space", "GPS"),
        ("L3", "classroom", "QR_code"),
        ("L4", "home", "honor_system"),
    ]
    here = package.location("on-site")
    assert (here.latitude, here.longitude, here.radius_meters) == (37.5356, -77.4453, 100)
    assert package.location("home").latitude is None


def test_each_form_has_a_version_and_a_hash_of_its_text(package: Package) -> None:
    assert len({form.sha256 for form in package.forms}) == len(package.forms) == 4
    for kind in ("parental_permission", "assent", "adult_consent"):
        form = package.form(kind)
        assert form.version == "1.0"
        assert re.fullmatch(r"[0-9a-f]{64}", form.sha256)


@pytest.mark.parametrize("kind", ["parental_permission", "assent", "adult_consent"])
@pytest.mark.parametrize(
    "word", ["purpose|why", "minutes", "risk|hard", "code", "stop", "erase", "study office"]
)
def test_a_form_says_what_people_must_know(package: Package, kind: str, word: str) -> None:
    assert re.search(word, package.form(kind).text.lower())


def test_a_form_falls_into_headings_lists_and_paragraphs(package: Package) -> None:
    blocks = package.form("assent").blocks
    assert {block.kind for block in blocks} == {"heading", "list", "paragraph"}
    assert not any(line.startswith(("#", "- ")) for block in blocks for line in block.lines)


def test_a_form_is_bound_to_its_words_not_to_its_line_ends(copy: Path, package: Package) -> None:
    form = copy / "forms" / "assent.md"
    form.write_bytes(form.read_bytes().replace(b"\n", b"\r\n"))
    assert load(copy).form("assent").sha256 == package.form("assent").sha256
    change(form, "research study", "Research study")
    assert load(copy).form("assent").sha256 != package.form("assent").sha256


def test_looking_for_what_is_not_there_is_a_key_error(package: Package) -> None:
    with pytest.raises(KeyError):
        package.segment(5)
    with pytest.raises(KeyError):
        package.form("other")


# One change to a file that breaks a rule: (file, old text, new text, the field that the fault names)

BROKEN = {
    "unknown manifest field": ("manifest.toml", "language =", "langauge =", "langauge"),
    "missing manifest field": ("manifest.toml", 'topic = "Tred', 'tpic = "Tred', "topic"),
    "bad syntax": ("survey.toml", 'kind = "rating"', "kind = rating", "line 10"),
    "bad syntax in a form": ("forms/assent.md", 'version = "1.0"', "version = ", "line 4"),
    "unclosed front matter": ("forms/assent.md", "\n+++\n", "\n++\n", "front matter"),
    "segment number": ("segments.toml", "segment_id = 4", "segment_id = 5", "segment_id"),
    "duration": ("segments.toml", "duration_seconds = 150", "duration_seconds = 149", "duration_seconds"),
    "static question": (
        "segments.toml",
        "surprised you, and why?",
        "surprised you.",
        "segment[1].static_questions[1]",
    ),
    "two static questions": (
        "segments.toml",
        '  "Why do you think people chose to save the buildings at Tredegar?",\n',
        "",
        "segment[4].static_questions[3]",
    ),
    "framing of an unknown place": (
        "segments.toml",
        "  on-site =",
        "  museum =",
        "segment[1].framing.museum",
    ),
    "framing missing": ("segments.toml", "  home =", "  #", "segment[1].framing.home"),
    "no cues": (
        "segments.toml",
        'cues = ["strike", "1847", "strikers", "fired", "white workers", "skilled jobs"]',
        "cues = []",
        "segment[2].key_concepts[3].cues",
    ),
    "media file": (
        "segments.toml",
        'audio = "segment-1.mp3"',
        'audio = "one.mp3"',
        "segment[1].audio",
    ),
    "recording without captions": (
        "segments.toml",
        'captions = "segment-1.vtt"',
        "",
        "segment[1].captions",
    ),
    "starts of sentences": (
        "segments.toml",
        'captions = "segment-1.vtt"',
        'captions = "segment-1.vtt"\nsentence_starts = [0]',
        "segment[1].sentence_starts",
    ),
    "captions in other words": ("media/segment-1.vtt", "James River", "River James", "captions"),
    "captions that overlap": ("media/segment-1.vtt", "00:00:09.975 -->", "00:00:08.000 -->", "captions"),
    "captions past the end": ("media/segment-1.vtt", "00:02:2", "00:03:2", "captions"),
    "no captions file": ("media/segment-1.vtt", "WEBVTT", "WEBVT", "captions"),
    "media outside": (
        "segments.toml",
        "duration_seconds = 150",
        'duration_seconds = 150\nvideo = "../x.mp4"',
        "segment[1].video",
    ),
    "correct answer": (
        "assessment.toml",
        'correct_answer = "1837"',
        'correct_answer = "1838"',
        "item[q4].correct_answer",
    ),
    "options repeat": ("assessment.toml", '"1807"', '"1776"', "item[q4].options"),
    "item twice": ("assessment.toml", 'question_id = "q2"', 'question_id = "q1"', "question_id"),
    "total points": ("assessment.toml", "points = 2\n", "points = 1\n", "points"),
    "points of a choice": ("assessment.toml", "points = 1\n", "points = 2\n", "item[q1].points"),
    "criterion worth nothing": (
        "assessment.toml",
        "points = 1.0",
        "points = 0.0",
        "item[q3].rubric[1].points",
    ),
    "rubric too small": ("assessment.toml", "points = 2\n", "points = 4\n", "item[q10].rubric"),
    "criterion twice": (
        "assessment.toml",
        '"mentions_water_power"',
        '"mentions_james_river"',
        "item[q3].rubric",
    ),
    "difficulty": ("assessment.toml", '"easy"', '"simple"', "item[q1].difficulty"),
    "unknown item field": (
        "assessment.toml",
        'difficulty = "easy"',
        'difficulty = "easy"\nhint = "x"',
        "item[q1].hint",
    ),
    "unknown new item": ("manifest.toml", '"q10"]', '"q11"]', "review.new_items"),
    "survey field renamed": (
        "survey.toml",
        '"pacing_rating"',
        '"pace_rating"',
        "learning_experience.pacing_rating",
    ),
    "survey field unknown": (
        "survey.toml",
        '"pacing_rating"',
        '"pace_rating"',
        "learning_experience.pace_rating",
    ),
    "survey kind": (
        "survey.toml",
        'kind = "yes_no"',
        'kind = "text"',
        "location_experience.location_enhanced_understanding.kind",
    ),
    "rating without words": (
        "survey.toml",
        'low_label = "Not at all"',
        "",
        "location_experience.location_impact_rating.low_label",
    ),
    "choice without options": (
        "survey.toml",
        '    { value = "static", label = "The same set questions for everyone" },\n',
        "",
        "intervention_experience.preferred_intervention_type.options",
    ),
    "option without label": (
        "survey.toml",
        ', label = "The same set questions for everyone"',
        "",
        "intervention_experience.fields[5].options[1].label",
    ),
    "survey group": ("survey.toml", '"technical_experience"', '"tech"', "technical_experience"),
    "location code": ("locations.toml", '"L3"', '"L5"', "location[L5].code"),
    "location missing": ("locations.toml", '"L3"', '"L5"', "location[L3]"),
    "location key": ("locations.toml", '"classroom"', '"school"', "location[L3].key"),
    "no radius": ("locations.toml", "radius_meters = 50", "", "location[L2].radius_meters"),
    "latitude": ("locations.toml", "latitude = 37.5356", "latitude = 375356", "location[L1].latitude"),
    "radius": ("locations.toml", "radius_meters = 50", "radius_meters = 5", "location[L2].radius_meters"),
    "contact without words": ("contacts.toml", 'how = "Raise', 'who = "Raise', "contact[1].how"),
    "contact number": ("contacts.toml", 'number = "911"', 'number = "nine"', "contact[4].number"),
    "GPS at home": ("locations.toml", 'method = "honor_system"', 'method = "GPS"', "location[L4].method"),
    "a position at home": (
        "locations.toml",
        'method = "honor_system"',
        'method = "honor_system"\nlatitude = 37.5',
        "location[L4].latitude",
    ),
    "form version": ("forms/assent.md", 'version = "1.0"', 'version = ""', "version"),
}


@pytest.mark.parametrize(("file", "old", "new", "field"), BROKEN.values(), ids=BROKEN.keys())
def test_a_fault_names_its_file_and_field(copy: Path, file: str, old: str, new: str, field: str) -> None:
    change(copy / file, old, new)
    assert (file, field) in faults_of(copy)


def test_forms_of_a_kind_too_few_or_too_many_are_faults(copy: Path) -> None:
    change(copy / "forms" / "child-assent.md", '"child_assent"', '"adult_consent"')
    change(copy / "forms" / "assent.md", '"assent"', '"ascent"')
    assert faults_of(copy) == [("forms/assent.md", "kind"), ("forms", "kind"), ("forms", "assent")]


@pytest.mark.parametrize("words", [199, 601])
def test_a_narration_of_a_wrong_length_is_a_fault(copy: Path, words: int) -> None:
    (copy / "segments" / "3.md").write_text("iron " * words)
    assert faults_of(copy) == [("segments/3.md", "narration")]


def test_an_empty_form_is_a_fault(copy: Path) -> None:
    form = copy / "forms" / "assent.md"
    form.write_text("+++".join([*form.read_text().split("+++")[:2], "\n\n"]))
    assert faults_of(copy) == [("forms/assent.md", "text")]


def test_an_item_too_few_is_a_fault_of_its_type_and_of_the_points(copy: Path) -> None:
    file = copy / "assessment.toml"
    file.write_text(file.read_text().rsplit("[[item]]", 1)[0])
    assert set(faults_of(copy)) == {
        ("assessment.toml", "item"),
        ("assessment.toml", "points"),
        ("manifest.toml", "review.new_items"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "manifest.toml",
        "segments.toml",
        "segments/2.md",
        "assessment.toml",
        "survey.toml",
        "locations.toml",
        "contacts.toml",
    ],
)
def test_a_missing_file_is_the_one_fault(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert faults_of(copy) == [(name, "file")]


def test_a_missing_form_is_a_fault_but_for_the_one_for_children(copy: Path) -> None:
    (copy / "forms" / "child-assent.md").unlink()
    assert len(load(copy).forms) == 3
    (copy / "forms" / "adult-consent.md").unlink()
    assert faults_of(copy) == [("forms", "adult_consent")]


def test_a_file_that_is_not_text_is_a_fault(copy: Path) -> None:
    (copy / "locations.toml").write_bytes(b"\xff\xfe\x00")
    assert faults_of(copy) == [("locations.toml", "file")]


def test_a_media_file_that_is_there_is_accepted(copy: Path) -> None:
    (copy / "media" / "one.wav").write_bytes(b"RIFF")
    change(copy / "segments.toml", 'audio = "segment-1.mp3"', 'audio = "one.wav"')
    assert load(copy).segment(1).audio == "one.wav"


def test_all_faults_are_told_at_once_one_a_line(copy: Path) -> None:
    change(copy / "manifest.toml", "duration_seconds = 600", "duration_seconds = 0")
    change(copy / "assessment.toml", 'correct_answer = "1837"', 'correct_answer = "1838"')
    change(copy / "locations.toml", "radius_meters = 50", "")
    with pytest.raises(ContentFaults) as caught:
        load(copy)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.faults) == 3
    assert "assessment.toml: item[q4].correct_answer: '1838' is not one of the options" in lines


def test_cues_are_matched_in_lower_case(copy: Path) -> None:
    change(copy / "assessment.toml", '"james river"', '"James River"')
    assert "james river" in load(copy).item("q3").rubric[0].cues


# The command


def test_check_content_sums_up_a_good_package() -> None:
    out = StringIO()
    call_command("check_content", str(SHIPPED), stdout=out)
    text = out.getvalue()
    assert "10 items, 15 points" in text
    assert load(SHIPPED).form("assent").sha256[:12] in text
    assert "A historian reviews" in text
    assert len(text.splitlines()) <= 24


def test_check_content_prints_every_fault_and_fails(copy: Path) -> None:
    change(copy / "locations.toml", "radius_meters = 50", "")
    change(copy / "survey.toml", '"pacing_rating"', '"pace_rating"')
    out = StringIO()
    with pytest.raises(CommandError, match="3 faults") as caught:
        call_command("check_content", str(copy), stdout=out)
    assert caught.value.returncode == 1
    assert "locations.toml: location[L2].radius_meters: is missing" in out.getvalue()


def test_check_content_says_when_there_is_no_such_folder(tmp_path: Path) -> None:
    out = StringIO()
    with pytest.raises(CommandError, match="1 fault in"):
        call_command("check_content", str(tmp_path / "none"), stdout=out)
    assert "there is no such folder" in out.getvalue()


# The analysis plan


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('home = "-1/3" }', 'home = "1/3" }', "must add up to 0"),
        ('home = "-1/3" }', 'home = "-1/0" }', "should match pattern"),
        ('name = "type"', 'name = "place_by_type"', "same name"),
        ("planned_n = 240", "planned_n = 200", "at the planned n"),
        ("at_n = 120", "at_n = 240", "in order of their n"),
        ('grader = "model"', 'grader = "nobody"', "Input should be"),
        ("imputations = 20", "imputations = 20\nstars = 3", "is not a known field"),
    ],
)
def test_a_plan_that_does_not_fit_together_is_named(copy: Path, old: str, new: str, message: str) -> None:
    change(copy / "plan.toml", old, new)
    with pytest.raises(ContentFaults) as caught:
        load(copy)
    (fault,) = caught.value.faults
    assert fault.file == "plan.toml"
    assert message in fault.message


def test_a_package_needs_a_plan(copy: Path) -> None:
    (copy / "plan.toml").unlink()
    assert faults_of(copy) == [("plan.toml", "file")]


def test_the_hash_of_a_plan_is_of_its_text(package: Package, copy: Path) -> None:
    change(copy / "plan.toml", "attrition = 0.10", "attrition = 0.1")
    other = load(copy)
    assert other.plan.sample == package.plan.sample
    assert other.plan.sha256 != package.plan.sha256
