"""What a content package is made of: frozen models; `content.py` loads them and checks how they fit."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

LocationType = Literal["on-site", "learning-space", "classroom", "home"]
FormKind = Literal["parental_permission", "assent", "adult_consent", "child_assent"]

# The most a short answer's criterion, or all items together, can be worth.
TOTAL_POINTS: Final = 15


def _question(text: str) -> str:
    if not text.endswith("?"):
        raise ValueError('does not end in "?"')
    return text


def _clause(text: str) -> str:
    if text[-1] in ".,;:!?":
        raise ValueError("is an opening clause: no punctuation at its end")
    return text


def _file_name(text: str) -> str:
    if text != Path(text).name or text.startswith("."):
        raise ValueError("is the name of a file in media/, without folders")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Question = Annotated[Text, AfterValidator(_question)]
Clause = Annotated[Text, AfterValidator(_clause)]
FileName = Annotated[Text, AfterValidator(_file_name)]
Cue = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, to_lower=True)]
Cues = Annotated[tuple[Cue, ...], Field(min_length=1)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Weight = Annotated[str, StringConstraints(pattern=r"^-?\d{1,3}(/[1-9]\d{0,2})?$")]
Cluster = Literal["school", "facilitator"]


def sentences_in(paragraph: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+", paragraph)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyConcept(_Model):
    """`phrase` can follow "about"; `cues` (lower case) are the words that show an answer touches it."""

    phrase: Text
    cues: Cues


class Segment(_Model):
    """One part of the content. `narration` is plain paragraphs; media are file names inside media/.

    `framing` has, for each kind of place, a clause that a comma and a question can follow.
    """

    segment_id: int
    title: Text
    summary: Text
    duration_seconds: int = Field(gt=0)
    key_concepts: tuple[KeyConcept, ...] = Field(min_length=1)
    narration: Text
    static_questions: tuple[Question, Question, Question]
    framing: dict[LocationType, Clause]
    audio: FileName | None = None
    video: FileName | None = None
    captions: FileName | None = None
    sentence_starts: tuple[float, ...] = ()
    """Seconds into the recording, by its captions; empty without a recording."""

    @property
    def paragraphs(self) -> tuple[str, ...]:
        return tuple(" ".join(block.split()) for block in re.split(r"\n\s*\n", self.narration))

    @property
    def sentences(self) -> tuple[str, ...]:
        """For captions: one sentence each, in order."""
        return tuple(sentence for paragraph in self.paragraphs for sentence in sentences_in(paragraph))

    @property
    def timed_sentences(self) -> tuple[tuple[str, float | None], ...]:
        """Each with the second at which it begins in the recording."""
        return tuple(zip_longest(self.sentences, self.sentence_starts))

    @property
    def word_count(self) -> int:
        return len(self.narration.split())


class Criterion(_Model):
    """One line of a rubric: `points` is its own maximum; `cues` (lower case) are for the offline grader."""

    name: Slug
    description: Text
    points: float = Field(gt=0, le=TOTAL_POINTS)
    cues: Cues


class AssessmentItem(_Model):
    question_id: Slug
    question_text: Text
    question_type: Literal["multiple_choice", "short_answer"]
    points: int = Field(gt=0)
    difficulty: Literal["easy", "medium", "hard"]
    options: tuple[Text, ...] = ()
    correct_answer: Text | None = None
    rubric: tuple[Criterion, ...] = ()


class SurveyOption(NamedTuple):
    """A pair, so that a field's options can serve as a form's choices as they are."""

    value: str
    label: str


class SurveyField(_Model):
    name: str
    kind: Literal["rating", "yes_no", "choice", "text"]
    label: Text
    required: bool
    low_label: Text | None = None
    high_label: Text | None = None
    options: tuple[SurveyOption, ...] = ()


class SurveyGroup(_Model):
    name: str
    title: Text
    fields: tuple[SurveyField, ...]


class Location(_Model):
    """A place of the study; the geofence (degrees and meters) only where the method is GPS."""

    code: str
    key: str
    name: Text
    address: Text
    method: Literal["GPS", "QR_code", "honor_system"]
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    radius_meters: float | None = Field(default=None, ge=10, le=5000)


class Contact(_Model):
    """Somebody whom a student can reach who is in danger or worried: `how` says how, `when` at what hours.

    `number` can be dialed as it stands.
    """

    name: Text
    how: Text
    when: Text
    number: Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9-]{1,19}$")] | None = None


class FormBlock(NamedTuple):
    """A piece of a form for the page: a list has one line an entry, the others have one line."""

    kind: Literal["heading", "list", "paragraph"]
    lines: tuple[str, ...]


class ConsentForm(_Model):
    kind: FormKind
    form_id: Text
    version: Text
    title: Text
    text: Text

    @property
    def sha256(self) -> str:
        """What a signature is bound to: SHA-256 hex of the text without white space around it."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def blocks(self) -> tuple[FormBlock, ...]:
        return blocks_of(self.text)


class Review(_Model):
    """What people still have to look at before a study uses the package."""

    reviewed: bool
    forms_approved: bool
    note: Text
    new_items: tuple[str, ...] = ()
    locations_to_set: tuple[LocationType, ...] = ()
    contacts_to_set: tuple[str, ...] = ()


class Manifest(_Model):
    content_id: Text
    content_version: Text
    topic: Text
    content_topic: Text
    duration_seconds: int = Field(gt=0)
    difficulty_level: Text
    language: Text
    assessment_version: Text
    survey_version: Text
    static_question_set: Text
    review: Review


# --- the analysis plan: what is confirmatory, decided before the first session


class PlannedContrast(_Model):
    """Weights, as fractions, of the differences dynamic - static at the locations; 0 where none is named."""

    name: Slug
    label: Text
    weights: dict[LocationType, Weight] = Field(min_length=1)

    @property
    def by_location(self) -> dict[str, Fraction]:
        return {str(location): Fraction(weight) for location, weight in self.weights.items()}


class PlannedOutcome(_Model):
    """`grader` is whose points count: the model's, or the consensus of human raters."""

    measure: Literal["final_score"]
    grader: Literal["model", "consensus"]


class SampleSize(_Model):
    """`effect` is the primary contrast in standard deviations of the final score within conditions."""

    planned_n: int = Field(ge=48, le=1_000_000)
    effect: float = Field(gt=0, le=3)
    correlation: float = Field(ge=0, lt=1)
    attrition: float = Field(ge=0, lt=1)
    alpha: float = Field(gt=0, le=0.2)


class Look(_Model):
    at_n: int = Field(gt=0)
    purpose: Literal["monitoring", "final"]


class Sensitivity(_Model):
    content_percent: float = Field(ge=0, le=100)
    imputations: int = Field(ge=2, le=200)
    randomizations: int = Field(ge=99, le=100_000)
    seed: int = Field(ge=0)


class AnalysisPlan(_Model):
    """`text` is the file as it stands: the hash of a locked plan is of this text."""

    text: str
    plan_version: Text
    dated: date
    title: Text
    hypothesis: Text
    stopping_rule: Text
    limits: tuple[Text, ...] = Field(min_length=1)
    population: Literal["first_allocation"]
    covariates: tuple[Literal["baseline_score"], ...] = Field(min_length=1, max_length=1)
    exclusions: tuple[Literal["location_override", "condition_override"], ...] = ()
    clusters: tuple[Cluster, ...] = Field(min_length=1)
    outcome: PlannedOutcome
    primary: PlannedContrast
    secondary: tuple[PlannedContrast, ...] = ()
    exploratory: tuple[PlannedContrast, ...] = ()
    sample: SampleSize
    looks: tuple[Look, ...] = Field(min_length=1)
    sensitivity: Sensitivity

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @model_validator(mode="after")
    def _fits_together(self) -> AnalysisPlan:
        if sum(self.primary.by_location.values()) != 0:
            raise ValueError("the weights of the primary contrast must add up to 0")
        names = [each.name for each in (self.primary, *self.secondary, *self.exploratory)]
        if len(set(names)) < len(names):
            raise ValueError("two contrasts have the same name")
        sizes = [look.at_n for look in self.looks]
        if sizes != sorted(set(sizes)) or [look.purpose for look in self.looks].count("final") != 1:
            raise ValueError("the looks must be in order of their n, one of them final")
        if self.looks[-1].purpose != "final" or sizes[-1] != self.sample.planned_n:
            raise ValueError("the last look must be the final one, at the planned n")
        return self


class Package(Manifest):
    """A whole, valid package. The look-ups raise KeyError for what it does not hold."""

    segments: tuple[Segment, ...]
    assessment: tuple[AssessmentItem, ...]
    survey: tuple[SurveyGroup, ...]
    locations: tuple[Location, ...]
    contacts: tuple[Contact, ...]
    forms: tuple[ConsentForm, ...]
    plan: AnalysisPlan
    debrief: tuple[FormBlock, ...]
    folder: Path

    def segment(self, segment_id: int) -> Segment:
        return {each.segment_id: each for each in self.segments}[segment_id]

    def item(self, question_id: str) -> AssessmentItem:
        return {each.question_id: each for each in self.assessment}[question_id]

    def location(self, key: str) -> Location:
        return {each.key: each for each in self.locations}[key]

    @property
    def lesson_text(self) -> str:
        """All that a student hears or reads about the subject: what it names is no secret of a student's."""
        parts = [
            text for s in self.segments for text in (s.title, s.summary, s.narration, *s.static_questions)
        ]
        parts += [part for s in self.segments for c in s.key_concepts for part in (c.phrase, *c.cues)]
        parts += [text for item in self.assessment for text in (item.question_text, *item.options)]
        parts += [text for place in self.locations for text in (place.name, place.address)]
        return "\n".join(parts)

    def form(self, kind: str) -> ConsentForm:
        return {str(each.kind): each for each in self.forms}[kind]


def blocks_of(text: str) -> tuple[FormBlock, ...]:
    """The text of a form in pieces for a page."""
    return tuple(_block(each.strip()) for each in re.split(r"\n\s*\n", text))


def _block(text: str) -> FormBlock:
    lines = text.split("\n")
    if text.startswith("#"):
        return FormBlock("heading", (text.lstrip("# "),))
    if all(line.startswith("- ") for line in lines):
        return FormBlock("list", tuple(line[2:] for line in lines))
    return FormBlock("paragraph", (" ".join(lines),))
