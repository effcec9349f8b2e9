"""The tutor that asks a Claude model, over the Anthropic SDK. The only module that imports it."""

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self, TypeVar

import anthropic
from anthropic.types import Message
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sessions_app.domain.tutor import prompts
from sessions_app.domain.tutor.masking import masking
from sessions_app.domain.tutor.protocol import (
    Criterion,
    Draft,
    Exchange,
    FailureReason,
    GradeRequest,
    InterventionRating,
    Prices,
    QuestionRequest,
    RatingRequest,
    RubricGrade,
    TutorFailed,
    score_names,
)

QUESTION_MAX_TOKENS = 2_000
GRADER_MAX_TOKENS = 4_000
MAX_PROMPT_TOKENS = 8_000
GRADER_TIMEOUT_SECONDS = 60.0
MAX_FEEDBACK_LENGTH = 600
RATINGS = tuple(half / 2 for half in range(2, 11))

Effort = Literal["low", "medium"]
Schema = dict[str, object]
Number = Annotated[float, Field(strict=True)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Question(_Shape):
    question: Annotated[str, Field(strict=True)]


class _Grading(_Shape):
    breakdown: dict[str, Number]
    feedback: Annotated[str, Field(strict=True)]


class _Rating(_Shape):
    questions: dict[str, dict[str, Number]]
    progression_quality: Number | None = None


ShapeT = TypeVar("ShapeT", bound=_Shape)
ExchangeT = TypeVar("ExchangeT", bound=Exchange)


@dataclass(frozen=True, slots=True)
class _Reply:
    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    generation_time_ms: int
    cost_usd: float

    def failed(self, reason: FailureReason, *, retryable: bool) -> TutorFailed:
        return TutorFailed(
            reason,
            retryable=retryable,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.cost_usd,
        )


class AnthropicTutor:
    """`model` writes the questions, `grader_model` grades and rates.

    Questions are tried once a call: `ask_question` owns their retries and their deadline. Gradings and
    ratings keep nobody waiting, so the SDK may retry them once. What a student wrote is masked; the reference
    to the student is a keyed hash: neither leaves this process as it is.
    """

    offline = False

    def __init__(
        self,
        client: anthropic.Anthropic,
        question_model: str,
        grader_model: str,
        prices: Prices,
        user_key: bytes,
        mask: Callable[[str], str],
    ) -> None:
        self.client = client
        self.user_key = user_key
        self.mask = mask
        self.model = question_model
        self.grader_model = grader_model
        self.prices = prices

    @classmethod
    def build(
        cls,
        api_key: str,
        question_model: str,
        grader_model: str,
        prices: Prices,
        *,
        user_key: bytes,
        lesson: str,
    ) -> Self:
        """With the SDK's own client; it honors ANTHROPIC_BASE_URL. Names in `lesson` are not masked."""
        # At DEBUG the SDK logs whole requests, students' answers included: never, whatever the environment.
        logging.getLogger("anthropic").setLevel(logging.WARNING)
        client = anthropic.Anthropic(api_key=api_key, timeout=GRADER_TIMEOUT_SECONDS, max_retries=1)
        return cls(client, question_model, grader_model, prices, user_key, masking(lesson))

    @property
    def question_at_most(self) -> float:
        """Dollars that one question can cost, by a prompt of a size that is never reached."""
        return cost_usd(self.prices, self.model, MAX_PROMPT_TOKENS, QUESTION_MAX_TOKENS)

    @property
    def judgement_at_most(self) -> float:
        """The same for a grading or a rating."""
        return cost_usd(self.prices, self.grader_model, MAX_PROMPT_TOKENS, GRADER_MAX_TOKENS)

    def close(self) -> None:
        self.client.close()

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        reply = self._send(
            self.client.with_options(timeout=timeout_seconds, max_retries=0),
            model=self.model,
            system=prompts.QUESTION_SYSTEM,
            message=prompts.question_message(
                replace(request, previous=self._masked(request.previous)), feedback
            ),
            schema=_object({"question": {"type": "string"}}),
            effort="low",
            max_tokens=QUESTION_MAX_TOKENS,
            student_ref=request.student_ref,
        )
        text = " ".join(_parsed(reply, _Question).question.split())
        if not text:
            raise reply.failed("empty", retryable=True)
        return Draft(
            text=text,
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            generation_time_ms=reply.generation_time_ms,
            cost_usd=reply.cost_usd,
        )

    def grade(self, request: GradeRequest) -> RubricGrade:
        reply = self._judge(
            system=prompts.GRADE_SYSTEM,
            message=prompts.grade_message(replace(request, answer=self.mask(request.answer))),
            schema=grading_schema(request),
            student_ref=request.student_ref,
        )
        grading = _parsed(reply, _Grading)
        allowed = {c.name: point_steps(c) for c in request.rubric}
        _hold_to(reply, grading.breakdown, allowed)
        breakdown = {c.name: grading.breakdown[c.name] for c in request.rubric}
        return RubricGrade(
            raw_score=round(min(sum(breakdown.values()), request.points), 1),
            breakdown=breakdown,
            feedback=" ".join(prompts.shown(grading.feedback).split())[:MAX_FEEDBACK_LENGTH],
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            generation_time_ms=reply.generation_time_ms,
            cost_usd=reply.cost_usd,
        )

    def rate(self, request: RatingRequest) -> InterventionRating:
        reply = self._judge(
            system=prompts.RATE_SYSTEM,
            message=prompts.rate_message(replace(request, exchanges=self._masked(request.exchanges))),
            schema=rating_schema(request),
            student_ref=request.student_ref,
        )
        rating = _parsed(reply, _Rating)
        scores = tuple(
            _rated(reply, rating.questions.get(_question_key(at), {}), score_names(request, at))
            for at in range(len(request.exchanges))
        )
        progression = rating.progression_quality if request.type == "dynamic" else None
        if request.type == "dynamic" and progression not in RATINGS:
            raise reply.failed("unreadable", retryable=True)
        return InterventionRating(
            scores=scores,
            progression_quality=progression,
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            generation_time_ms=reply.generation_time_ms,
            cost_usd=reply.cost_usd,
        )

    def _masked(self, exchanges: tuple[ExchangeT, ...]) -> tuple[ExchangeT, ...]:
        """Questions too: one may quote an answer."""
        return tuple(
            replace(e, question=self.mask(e.question), answer=self.mask(e.answer)) for e in exchanges
        )

    def _user_id(self, student_ref: str) -> str:
        return hmac.new(self.user_key, f"anthropic:{student_ref}".encode(), hashlib.sha256).hexdigest()

    def _judge(self, *, system: str, message: str, schema: Schema, student_ref: str) -> _Reply:
        return self._send(
            self.client.with_options(timeout=GRADER_TIMEOUT_SECONDS, max_retries=1),
            model=self.grader_model,
            system=system,
            message=message,
            schema=schema,
            effort="medium",
            max_tokens=GRADER_MAX_TOKENS,
            student_ref=student_ref,
        )

    def _send(
        self,
        client: anthropic.Anthropic,
        *,
        model: str,
        system: str,
        message: str,
        schema: Schema,
        effort: Effort,
        max_tokens: int,
        student_ref: str,
    ) -> _Reply:
        started = time.monotonic()
        try:
            answer = client.messages.create(
                model=model,
                max_tokens=max_tokens,
                system=system,
                messages=[{"role": "user", "content": message}],
                metadata={"user_id": self._user_id(student_ref)},
                output_config={"effort": effort, "format": {"type": "json_schema", "schema": schema}},
            )
        except Exception as error:
            raise _failure(error) from None  # the cause's text may quote the request
        elapsed_ms = round((time.monotonic() - started) * 1000)
        return _reply(answer, requested_model=model, elapsed_ms=elapsed_ms, prices=self.prices)


def cost_usd(prices: Prices, model: str, prompt_tokens: int, completion_tokens: int) -> float:
    """0.0 for a model without a price: the tokens are recorded, so the cost can be worked out later."""
    per_prompt, per_completion = prices.get(model, (0.0, 0.0))
    return round((prompt_tokens * per_prompt + completion_tokens * per_completion) / 1_000_000, 6)


def point_steps(criterion: Criterion) -> tuple[float, ...]:
    """What a criterion may be given: steps of half a point, and its maximum."""
    halves = [half / 2 for half in range(int(criterion.points * 2) + 1)]
    return tuple(sorted({*halves, float(criterion.points)}))


def grading_schema(request: GradeRequest) -> Schema:
    criteria: Schema = {
        c.name: {"type": "number", "enum": list(point_steps(c)), "description": c.description}
        for c in request.rubric
    }
    return _object({"breakdown": _object(criteria), "feedback": {"type": "string"}})


def rating_schema(request: RatingRequest) -> Schema:
    score: Schema = {"type": "number", "enum": list(RATINGS)}
    questions: Schema = {
        _question_key(at): _object(dict.fromkeys(score_names(request, at), score))
        for at in range(len(request.exchanges))
    }
    fields: Schema = {"questions": _object(questions)}
    if request.type == "dynamic":
        fields["progression_quality"] = score
    return _object(fields)


def _object(fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _question_key(index: int) -> str:
    return f"question_{index + 1}"


def _rated(reply: _Reply, given: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    _hold_to(reply, given, dict.fromkeys(names, RATINGS))
    return {name: given[name] for name in names}


def _hold_to(reply: _Reply, given: Mapping[str, float], allowed: Mapping[str, tuple[float, ...]]) -> None:
    """Exactly the named fields, each with an allowed number: a schema describes, it does not guarantee."""
    if given.keys() != allowed.keys() or any(value not in allowed[name] for name, value in given.items()):
        raise reply.failed("unreadable", retryable=True)


def _parsed(reply: _Reply, shape: type[ShapeT]) -> ShapeT:
    try:
        return shape.model_validate_json(reply.text)
    except ValidationError:
        raise reply.failed("unreadable", retryable=True) from None


def _reply(answer: Message, *, requested_model: str, elapsed_ms: int, prices: Prices) -> _Reply:
    """The SDK builds its answers without validating them, so nothing about the shape is taken for granted."""
    try:
        prompt_tokens, completion_tokens = _tokens(answer)
        reply = _Reply(
            text="".join(block.text for block in answer.content if block.type == "text"),
            model=str(answer.model or requested_model),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            generation_time_ms=elapsed_ms,
            # The price is that of the name asked for: the API may answer with a dated one.
            cost_usd=cost_usd(prices, requested_model, prompt_tokens, completion_tokens),
        )
        stop_reason = answer.stop_reason
    except (AttributeError, TypeError, ValueError):
        raise TutorFailed("unreadable", retryable=True) from None
    _heed(stop_reason, reply)
    return reply


def _tokens(answer: Message) -> tuple[int, int]:
    usage = answer.usage
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return int(usage.input_tokens) + cached, int(usage.output_tokens)


def _heed(stop_reason: str | None, reply: _Reply) -> None:
    if stop_reason == "refusal":
        raise reply.failed("refused", retryable=False)
    if stop_reason in {"max_tokens", "model_context_window_exceeded"}:
        raise reply.failed("truncated", retryable=stop_reason == "max_tokens")
    if not reply.text.strip():
        raise reply.failed("empty", retryable=True)


_FAILURES: tuple[tuple[type[Exception], FailureReason, bool], ...] = (
    (anthropic.APITimeoutError, "timeout", True),
    (anthropic.APIConnectionError, "network", True),
    (anthropic.RateLimitError, "rate_limited", True),
    (anthropic.AuthenticationError, "unauthorised", False),
    (anthropic.PermissionDeniedError, "unauthorised", False),
    (anthropic.APIResponseValidationError, "unreadable", True),
    (json.JSONDecodeError, "unreadable", True),
)
MONEY = ("billing", "credit balance", "usage limits", "spend limit")
_BY_STATUS: dict[int, tuple[FailureReason, bool]] = {
    402: ("billing", False),
    408: ("timeout", True),
    503: ("overloaded", True),
    504: ("timeout", True),
    529: ("overloaded", True),
}


def _failure(error: Exception) -> TutorFailed:
    wait = _retry_after(error)
    for kind, reason, retryable in _FAILURES:
        if isinstance(error, kind) and not _is_about_money(error):
            return TutorFailed(reason, retryable=retryable, retry_after_seconds=wait)
    if isinstance(error, anthropic.APIStatusError):
        if _is_about_money(error):
            return TutorFailed("billing", retryable=False, retry_after_seconds=wait)
        by_kind: tuple[FailureReason, bool] = ("error", error.status_code >= 500)
        reason, retryable = _BY_STATUS.get(error.status_code, by_kind)
        return TutorFailed(reason, retryable=retryable, retry_after_seconds=wait)
    return TutorFailed("error", retryable=False)


def _is_about_money(error: Exception) -> bool:
    """A spent credit or a monthly limit comes as 402, or as 400, 403 or 429 whose text says so."""
    if not isinstance(error, anthropic.APIStatusError):
        return False
    told = error.message.lower()
    return error.status_code == 402 or any(sign in told for sign in MONEY)


def _retry_after(error: Exception) -> float | None:
    if not isinstance(error, anthropic.APIStatusError):
        return None
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, seconds) if seconds < float("inf") else None
