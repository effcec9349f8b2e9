"""A bad network in front of the site, on loopback only: it loses, cuts, delays, and answers itself.

    async with FaultProxy(port=8000, plan=Plan(seed="7", rates=FIELD)) as proxy:
        ...  # the site, as it is at proxy.url
    proxy.counted["lost reply"]

The n-th request of a kind meets what the seed says; no kind meets more than `MAX_CONSECUTIVE` faults on end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs

from socratic_site.local.dynamodb_local import free_port

HOST = "127.0.0.1"
MAX_CONSECUTIVE = 3

# What may happen to a request, by kind: the share of all requests. The site never sees the first five.
SENDING = {
    "lost request": 0.05,
    "reset": 0.04,
    "502": 0.03,
    "503": 0.03,
    "portal": 0.04,
    "lost reply": 0.06,
    "504 though stored": 0.03,
    "cut reply": 0.03,
    "slow": 0.04,
    "slow reply": 0.03,
}
FIELD: Mapping[str, Mapping[str, float]] = {
    "send": SENDING,
    "page": {fault: share / 3 for fault, share in SENDING.items()},
    "asset": {fault: share / 20 for fault, share in SENDING.items()},
}
PORTAL = b"<!doctype html><title>Free WiFi</title><form method=post><button>I accept</button></form>"


class Plan:
    """`slow` is how many seconds a delay lasts at most; most are much shorter."""

    def __init__(self, *, seed: str, rates: Mapping[str, Mapping[str, float]], slow: float = 1.5) -> None:
        self.rates, self.slow = rates, slow
        self.chance = {kind: random.Random(f"{seed}/{kind}") for kind in rates}
        self.in_a_row: Counter[str] = Counter()

    def fault_for(self, kind: str) -> tuple[str, float]:
        """What happens to the next request of this kind, and for how many seconds where it is a delay."""
        rates = self.rates[kind]
        names, shares = ["passed", *rates], [1 - sum(rates.values()), *rates.values()]
        chance = self.chance[kind]
        fault, seconds = chance.choices(names, shares)[0], self.slow * chance.random() ** 4
        if self.in_a_row[kind] >= MAX_CONSECUTIVE:
            fault = "passed"
        self.in_a_row[kind] = 0 if fault == "passed" else self.in_a_row[kind] + 1
        return fault, seconds


@dataclass(frozen=True)
class Request:
    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def kind(self) -> str:
        method, path, _ = self.line.split(" ", 2)
        if method != "GET":
            return "send"
        return "asset" if path.startswith("/static/") else "page"


class FaultProxy:
    """`counted` tells how often each fault struck, and how many requests of each kind there were."""

    def __init__(self, *, port: int, plan: Plan) -> None:
        self.site, self.plan, self.port = port, plan, free_port()
        self.url = f"http://{HOST}:{self.port}/"
        self.counted: Counter[str] = Counter()
        self.open: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, HOST, self.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.server.close()
        for task in self.open:
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.open.add(task)
        task.add_done_callback(self.open.discard)
        try:
            while await self._answer(await read_request(reader), writer):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the browser is gone, or the test is over
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can be used again."""
        fault, seconds = self.plan.fault_for(request.kind)
        self.counted[fault] += 1
        self.counted[request.kind] += 1
        match fault:
            case "lost request":
                return False
            case "reset":
                reset(writer)
                return False
            case "502" | "503":
                writer.write(page(int(fault), b"Bad gateway"))
                return True
            case "portal":
                writer.write(page(200, PORTAL))
                return True
            case "forged" if claim := forged(request):
                writer.write(claim)
                return True
        return await self._pass_on(request, writer, fault, seconds)

    async def _pass_on(
        self, request: Request, writer: asyncio.StreamWriter, fault: str, seconds: float
    ) -> bool:
        if fault == "slow":
            await asyncio.sleep(seconds)
        answer = await self._ask_site(request)
        match fault:
            case "lost reply":
                return False
            case "504 though stored":
                answer = page(504, b"Gateway time-out")
            case "cut reply":
                head, _, body = answer.partition(b"\r\n\r\n")
                writer.write(head + b"\r\n\r\n" + body[: len(body) // 2])
                return False
            case "slow reply":
                await asyncio.sleep(seconds)
        writer.write(answer)
        return True

    async def _ask_site(self, request: Request) -> bytes:
        reader, writer = await asyncio.open_connection(HOST, self.site)
        try:
            writer.write(without_connection(request.head, b"Connection: close") + request.body)
            return without_connection(await reader.read())
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    return Request(head, await reader.readexactly(int(fields.get(b"content-length", 0))))


def without_connection(message: bytes, *instead: bytes) -> bytes:
    """The message with `instead` in place of its `Connection` header."""
    head, end, body = message.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, *instead]) + end + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Closed with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def page(status: int, body: bytes, kind: str = "text/html") -> bytes:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Cache-Control: no-store\r\n\r\n".encode() + body


def forged(request: Request) -> bytes | None:
    """An acknowledgement that names the submission and its very bytes, of something that nobody stored.

    No network does that: it is here to see that the journey would notice a store that lies.
    """
    sent = parse_qs(request.body.decode()).get("submission_id")
    if not sent:
        return None
    told = {"saved": True, "stored_at": "now", "at": "00:00:00", "submission_id": sent[0]}
    told["sha256"] = hashlib.sha256(request.body).hexdigest()
    return page(200, json.dumps(told).encode(), "application/json")
