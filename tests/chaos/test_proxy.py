"""The bad network itself: what it does to a request, and what it leaves alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable

import pytest

from tests.chaos.proxy import FIELD, HOST, MAX_CONSECUTIVE, FaultProxy, Plan

BODY = b"answer=the+river&submission_id=7"
SITE_SAYS = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nall stored"
Ask = Callable[[], Awaitable[tuple[bytes, list[bytes]]]]


async def asked(fault: str, *, requests: int = 1) -> tuple[bytes, list[bytes]]:
    """What comes back through a network with this fault alone, and what the site got."""
    got: list[bytes] = []

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(BODY)))
        writer.write(SITE_SAYS)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(site, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    plan = Plan(seed="1", rates={"send": {fault: 1.0}}, slow=0.01)
    async with server, FaultProxy(port=port, plan=plan) as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        head = b"POST /run/ HTTP/1.1\r\nHost: here\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n"
        answer = b""
        for _ in range(requests):
            writer.write(head % len(BODY) + BODY)
            try:
                answer = await asyncio.wait_for(reader.read(4096), 5)
            except ConnectionError:
                answer = b"reset"
        writer.close()
    return answer, got


def through(fault: str, **options: int) -> tuple[bytes, list[bytes]]:
    return asyncio.run(asked(fault, **options))


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("lost request", b""),
        ("reset", b"reset"),
        ("502", b"HTTP/1.1 502 "),
        ("503", b"HTTP/1.1 503 "),
        ("portal", b"HTTP/1.1 200 "),
    ],
)
def test_it_keeps_a_request_from_the_site(fault: str, answer: bytes) -> None:
    came, got = through(fault)
    assert came.startswith(answer) if answer else came == b""
    assert b"stored" not in came
    assert got == []


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("lost reply", b""),
        ("504 though stored", b"HTTP/1.1 504 "),
        ("cut reply", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall s"),
        ("slow", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall stored"),
        ("slow reply", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall stored"),
    ],
)
def test_it_lets_the_site_do_it_and_spoils_the_reply(fault: str, answer: bytes) -> None:
    came, got = through(fault)
    assert came.startswith(answer) if answer else came == b""
    assert b"all stored" not in came or fault.startswith("slow")
    assert [request.endswith(BODY) for request in got] == [True]
    assert b"keep-alive" not in got[0]


def test_faults_on_end_are_bounded_so_that_every_journey_ends() -> None:
    came, got = through("502", requests=MAX_CONSECUTIVE + 1)
    assert came.endswith(b"all stored")
    assert len(got) == 1


def test_the_same_seed_plans_the_same_faults() -> None:
    def faults(seed: str) -> list[str]:
        plan = Plan(seed=seed, rates=FIELD)
        return [plan.fault_for("send")[0] for _ in range(200)]

    assert faults("7") == faults("7")
    assert faults("7") != faults("8")
    assert set(faults("7")) == {"passed", *FIELD["send"]}


def test_a_forged_acknowledgement_names_the_very_bytes() -> None:
    came, got = through("forged")
    told = json.loads(came.partition(b"\r\n\r\n")[2])
    assert (told["submission_id"], told["sha256"]) == ("7", hashlib.sha256(BODY).hexdigest())
    assert got == []
