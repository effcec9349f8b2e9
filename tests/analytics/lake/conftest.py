"""A lake in a folder and one in a bucket: what holds for one holds for the other."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from analytics_app.export.pseudonyms import Coder
from analytics_app.lake import storage
from analytics_app.lake.write import Lake

STREAM = "arn:aws:dynamodb:us-east-1:1:table/T/stream/2025-10-01T00:00:00.000"


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """A client of moto's S3, on loopback; what a test puts into the environment leads there too."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def bucket_url(s3: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"lake-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.meta.endpoint_url)
    return f"s3://{name}/study"


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("bucket_url") if request.param == "bucket" else str(tmp_path / "lake")


@pytest.fixture
def store(url: str) -> storage.Store:
    return storage.of_url(url)


@pytest.fixture
def lake(store: storage.Store) -> Lake:
    return Lake(store, Coder(b"a key for tests", "coded"))
