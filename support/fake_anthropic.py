"""A server on loopback that speaks enough of the Messages API for the real SDK to talk to it.

    with FakeAnthropic() as fake:
        os.environ["ANTHROPIC_BASE_URL"] = fake.url
        fake.behave("429", "good")        # the next two requests; after that `fake.default`
        fake.behave(retry_after(20))      # a callable may stand for a name

The behaviours by name stand in BEHAVIOURS at the end of this file.
Requests that the real service refuses (sampling parameters, prefill, no key) get its 400 or 401 here too.

Standalone: `python support/fake_anthropic.py --port 8099 [--behaviour good]`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived; header names are in lower case."""

    body: Body
    headers: dict[str, str]
    behaviour: str

    @property
    def kind(self) -> str:
        return kind_of(self.body)

    @property
    def data(self) -> Body:
        return data_of(self.body)

    @property
    def message(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass
class Answer:
    """A status and JSON, or raw bytes; `how` it is sent: "whole", "silence", "drip" or "hang_up"."""

    status: int = 200
    json: Body | None = None
    raw: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "whole"


Behaviour = Callable[[Body], Answer]


class FakeAnthropic:
    """A context manager; `url` is the base URL, `requests` came in, `finished` were answered whole."""

    def __init__(
        self, *, port: int = 0, default: str | Behaviour = "good", silence_seconds: float = 0.6
    ) -> None:
        self.default = default
        self.silence_seconds = silence_seconds
        self.requests: list[Recorded] = []
        self.finished: list[Recorded] = []
        self.closing = threading.Event()
        self._queue: deque[str | Behaviour] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler, self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def behave(self, *behaviours: str | Behaviour) -> None:
        """Queue behaviours for the next requests, one each."""
        with self._lock:
            self._queue.extend(behaviours)

    def __enter__(self) -> FakeAnthropic:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, body: Body, headers: dict[str, str]) -> tuple[Recorded, Answer]:
        refused = refusal_of_the_service(body, headers)
        with self._lock:
            behaviour = self._queue.popleft() if self._queue and not refused else self.default
            name = behaviour if isinstance(behaviour, str) else behaviour.__name__
            recorded = Recorded(body=body, headers=headers, behaviour="refused" if refused else name)
            self.requests.append(recorded)
        if refused:
            return recorded, refused
        return recorded, (BEHAVIOURS[behaviour] if isinstance(behaviour, str) else behaviour)(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # a class asks at once

    def __init__(self, address: tuple[str, int], handler: type[_Handler], fake: FakeAnthropic) -> None:
        super().__init__(address, handler)
        self.fake = fake

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that went away: tests and benchmarks end those in the middle of a call."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    ids = itertools.count(1)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.split("?")[0] != "/v1/messages":
            self._send(error_answer(404, "not_found_error"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            fake = self.server.fake
            recorded, answer = fake.answer(json.loads(raw), headers)
            if self._send(answer):
                fake.finished.append(recorded)
        except OSError:  # the client has gone: that is what some tests are about
            self.close_connection = True

    def _send(self, answer: Answer) -> bool:
        """Whether the answer went out whole."""
        if answer.how == "silence":
            self.server.fake.closing.wait(self.server.fake.silence_seconds)
        if answer.how in {"silence", "hang_up"}:
            self.close_connection = True
            return False
        content = json.dumps(answer.json).encode() if answer.json is not None else answer.raw
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        self.send_header("request-id", f"req_fake{next(self.ids):06d}")
        self.send_header("content-length", str(len(content)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if answer.how == "drip":
            return self._drip(content)
        self.wfile.write(content)
        return True

    def _drip(self, content: bytes) -> bool:
        """A byte now and then: no single read is ever slow, the whole never comes in time."""
        for byte in content:
            if self.server.fake.closing.wait(0.05):
                self.close_connection = True
                return False
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
        return True

    def log_message(self, format: str, *args: object) -> None:
        """Requests hold answers of students: nothing is printed."""


# --- reading a request


def data_of(body: Body) -> Body:
    found = re.search(r"<data>\n(.*)\n</data>", str(body["messages"][-1]["content"]), re.S)
    return dict(json.loads(found[1])) if found else {}


def schema_of(body: Body) -> Body:
    return dict(body.get("output_config", {}).get("format", {}).get("schema", {}))


def kind_of(body: Body) -> str:
    fields = schema_of(body).get("properties", {})
    for name, kind in (("question", "question"), ("breakdown", "grading"), ("questions", "rating")):
        if name in fields:
            return kind
    return "unknown"


def refusal_of_the_service(body: Body, headers: dict[str, str]) -> Answer | None:
    if not (headers.get("authorization") or headers.get("x-api-key")):
        return error_answer(401, "authentication_error")
    sampling = {"temperature", "top_p", "top_k"} & body.keys()
    prefilled = not body.get("messages") or body["messages"][-1]["role"] != "user"
    incomplete = not body.get("model") or not isinstance(body.get("max_tokens"), int)
    return error_answer(400, "invalid_request_error") if sampling or prefilled or incomplete else None


# --- answering it


def message_answer(body: Body, content: list[Body], *, stop_reason: str = "end_turn") -> Answer:
    text = "".join(block.get("text", "") for block in content)
    usage = {"input_tokens": max(1, len(json.dumps(body)) // 4), "output_tokens": max(1, len(text) // 4)}
    return Answer(
        json={
            "id": f"msg_fake{zlib.crc32(json.dumps(body, sort_keys=True).encode()):08x}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {
                **usage,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "service_tier": "standard",
            },
        }
    )


def text_answer(body: Body, text: str, *, stop_reason: str = "end_turn") -> Answer:
    return message_answer(body, [{"type": "text", "text": text}], stop_reason=stop_reason)


def error_answer(status: int, kind: str, **headers: str) -> Answer:
    error = {"type": "error", "error": {"type": kind, "message": kind}, "request_id": "req_fake"}
    return Answer(status=status, json=error, headers={n.replace("_", "-"): v for n, v in headers.items()})


def money_answer(status: int, words: str) -> Answer:
    """As the service tells that the account is empty, or at the limit that its owner has set."""
    answer = error_answer(status, "rate_limit_error" if status == 429 else "invalid_request_error")
    assert answer.json
    answer.json["error"]["message"] = words
    return answer


def saying(question: str) -> Behaviour:
    """A behaviour that asks exactly this."""

    def said(body: Body) -> Answer:
        return text_answer(body, json.dumps({"question": question}))

    return said


def retry_after(seconds: float) -> Behaviour:
    def busy(body: Body) -> Answer:
        return error_answer(429, "rate_limit_error", retry_after=f"{seconds:g}")

    return busy


def good(body: Body) -> Answer:
    """Valid, deterministic, and fit for the gate; thinking comes first, as it may from the real service."""
    thinking = {"type": "thinking", "thinking": "Considering the request.", "signature": "ZmFrZQ=="}
    return message_answer(body, [thinking, {"type": "text", "text": json.dumps(good_content(body))}])


def good_content(body: Body) -> Body:
    if kind_of(body) == "question":
        return {"question": good_question(data_of(body))}
    content: Body = filled(schema_of(body), json.dumps(data_of(body), sort_keys=True))
    return content


def good_question(data: Body) -> str:
    place = {"on-site": "what you can see here", "home": "your own life"}.get(
        data.get("place", {}).get("kind", ""), "what you know"
    )
    concept = next(iter(data.get("key_concepts", [])), "this story")
    said = [word_of(exchange["answer"]) for exchange in data.get("so_far", [])]
    if data.get("question_number") == 1 or not said:
        return f"Think about what you just heard. How might you link it to {place}?"
    if len(said) == 1:
        return f"You wrote about “{said[0]}”. What else in {place} might go with that, and with {concept}?"
    both = f"First you wrote about “{said[0]}”, then about “{said[1]}”."
    return f"{both} How do both of these, and {concept}, change {place}?"


def word_of(answer: str) -> str:
    """The first longer word of plain letters, or a neutral one."""
    return next(iter(re.findall(r"\b[a-z]{5,12}\b", answer)), "that")


def filled(schema: Body, seed: str) -> Any:
    """A value for the schema: for an enum the allowed value that a checksum of the request points to."""
    if "enum" in schema:
        return schema["enum"][zlib.crc32(seed.encode()) % len(schema["enum"])]
    if schema.get("type") == "object":
        return {name: filled(part, f"{seed}/{name}") for name, part in schema["properties"].items()}
    return "Names part of what the rubric asks for."


def _refusal(body: Body) -> Answer:
    return text_answer(body, "", stop_reason="refusal")


def _truncated(body: Body) -> Answer:
    return text_answer(body, json.dumps(good_content(body))[:12], stop_reason="max_tokens")


def _thinking_only(body: Body) -> Answer:
    return message_answer(body, [{"type": "thinking", "thinking": "Hm.", "signature": "ZmFrZQ=="}])


def _out_of_range(body: Body) -> Answer:
    content = good_content(body)
    for part in (content.get("breakdown"), *(content.get("questions") or {}).values()):
        if part:
            part[next(iter(part))] = 99
    return text_answer(body, json.dumps(content))


def _extra_field(body: Body) -> Answer:
    return text_answer(body, json.dumps(good_content(body) | {"note": "as you wished"}))


def _status(status: int, kind: str) -> Behaviour:
    return lambda body: error_answer(status, kind)


BEHAVIOURS: dict[str, Behaviour] = {
    "good": good,
    "400": _status(400, "invalid_request_error"),
    "billing": lambda body: money_answer(400, "Your credit balance is too low to access the API."),
    "spend_limit": lambda body: money_answer(429, "You have reached your specified API usage limits."),
    "402": _status(402, "billing_error"),
    "401": _status(401, "authentication_error"),
    "403": _status(403, "permission_error"),
    "404": _status(404, "not_found_error"),
    "429": _status(429, "rate_limit_error"),
    "500": _status(500, "api_error"),
    "529": _status(529, "overloaded_error"),
    "refusal": _refusal,
    "truncated": _truncated,
    "empty": lambda body: message_answer(body, []),
    "thinking": _thinking_only,
    "garbage": lambda body: text_answer(body, "Sure! Here is a question {"),
    "not_http_json": lambda body: Answer(raw=b"<html>bad gateway</html>"),
    "no_content": lambda body: Answer(json={"id": "msg_fake", "type": "message"}),
    "wrong_shape": lambda body: text_answer(body, json.dumps({"questions": ["one", "two"]})),
    "extra_field": _extra_field,
    "out_of_range": _out_of_range,
    "leak": saying("As an AI language model, what would you like to know about my instructions?"),
    "answer_given": saying("The answer is water power, because the river falls here. How did it help?"),
    "two_questions": saying("What do you see here? And what do you hear from the river?"),
    "silence": lambda body: Answer(how="silence"),
    "drip": lambda body: Answer(json=good(body).json, how="drip"),
    "hang_up": lambda body: Answer(how="hang_up"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the Messages API on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", choices=sorted(BEHAVIOURS), default="good")
    parser.add_argument("--silence-seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    fake = FakeAnthropic(port=chosen.port, default=chosen.behaviour, silence_seconds=chosen.silence_seconds)
    with fake:
        print(f"ANTHROPIC_BASE_URL={fake.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
