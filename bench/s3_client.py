"""What one S3 request costs the client: S3Wire against boto3, in one run, interleaved, medians.

The server is a child process that answers every request with the same bytes after a set time, so that nothing but the
client is measured. CPU time is user + system time of this process, divided by the requests.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from mldr.aws.pacing import PacedCalls
from mldr.aws.s3_wire import S3Wire
from mldr.domain.pace import PaceLimits
from mldr.domain.recovery_point import SourceVersion

ROUNDS = 5
COPIES, PAGES = 500, 8
THREADS = (1, 8, 32)
LATENCY = 0.004  # seconds that the server takes for an answer

COPIED = """<?xml version="1.0" encoding="UTF-8"?>
<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
<ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag><ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME>\
<ChecksumType>FULL_OBJECT</ChecksumType></CopyObjectResult>"""
VERSION = """<Version><Key>objects/{number:06}.bin</Key><VersionId>3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY</VersionId>\
<IsLatest>true</IsLatest><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
<ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
<ChecksumType>FULL_OBJECT</ChecksumType><Size>10240</Size><StorageClass>STANDARD</StorageClass>\
<Owner><ID>0123456789abcdef</ID></Owner></Version>"""
LISTED = (
    '<?xml version="1.0" encoding="UTF-8"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>lake</Name><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
    + "".join(VERSION.format(number=number) for number in range(1000))
    + "</ListVersionsResult>"
)
SOURCE = SourceVersion(bucket="lake", key="models/fraud/part-00001.bin", version_id="3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY")
BOTO3_SOURCE = {"Bucket": SOURCE.bucket, "Key": SOURCE.key, "VersionId": SOURCE.version_id}
OPTIONS: dict[str, Any] = {
    "CopySourceIfMatch": "9b2cf535f27731c974343645a3985328",
    "ChecksumAlgorithm": "CRC64NVME",
    "MetadataDirective": "COPY",
    "TaggingDirective": "COPY",
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "arn:aws:kms:ap-southeast-3:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "BucketKeyEnabled": True,
}


class Cost(NamedTuple):
    """Milliseconds for each request."""

    cpu: float
    wall: float


class Row(NamedTuple):
    """One comparison; milliseconds for each request."""

    work: str
    threads: int
    boto3: Cost
    wire: Cost

    @property
    def ratio(self) -> float:
        """Return how many times boto3's CPU time is ours."""
        return self.boto3.cpu / self.wire.cpu


def measure() -> list[Row]:
    """Run every comparison."""
    with _server() as port:
        client = _client(port)
        wire = S3Wire(client)
        copies: tuple[Callable[[int], object], ...] = (
            lambda number: client.copy_object(
                Bucket="vault", Key=f"objects/{number:06}", CopySource=BOTO3_SOURCE, **OPTIONS
            ),
            lambda number: wire.copy_object("vault", f"objects/{number:06}", SOURCE, **OPTIONS),
        )
        pages: tuple[Callable[[int], object], ...] = (
            lambda _: client.list_object_versions(Bucket="lake"),
            lambda _: wire.list_object_versions("lake"),
        )
        rows = [_compared("copy_object", threads, COPIES, *copies) for threads in THREADS]
        return [*rows, _compared("list_object_versions, 1000 of them", 1, PAGES, *pages)]


def table(rows: list[Row]) -> str:
    """Return the rows as text."""
    lines = [f"{'milliseconds a request':36} {'threads':>7} {'boto3 CPU':>10} {'our CPU':>8} {'ratio':>6} {'wall':>13}"]
    for row in rows:
        wall = f"{row.boto3.wall:.2f} / {row.wire.wall:.2f}"
        cpu = f"{row.boto3.cpu:>10.3f} {row.wire.cpu:>8.3f} {row.ratio:>6.1f}"
        lines.append(f"{row.work:36} {row.threads:>7} {cpu} {wall:>13}")
    return "\n".join(lines)


def _compared(work: str, threads: int, count: int, boto: Callable[[int], object], ours: Callable[[int], object]) -> Row:
    costs: list[tuple[Cost, Cost]] = [(_cost(boto, threads, count), _cost(ours, threads, count)) for _ in range(ROUNDS)]
    boto3_cost, wire_cost = (
        Cost(statistics.median(cost.cpu for cost in side), statistics.median(cost.wall for cost in side))
        for side in zip(*costs, strict=True)
    )
    return Row(work, threads, boto3_cost, wire_cost)


def _cost(call: Callable[[int], object], threads: int, count: int) -> Cost:
    calls = PacedCalls(PaceLimits(start=threads, ceiling=threads))
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in calls.each(call, range(count)):
        pass
    return Cost((time.process_time() - cpu) / count * 1000, (time.perf_counter() - wall) / count * 1000)


def _client(port: int) -> Any:
    return boto3.client(
        "s3",
        region_name="ap-southeast-3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106  nobody checks it
        config=Config(max_pool_connections=max(THREADS), retries={"total_max_attempts": 1}),
    )


@contextmanager
def _server() -> Iterator[int]:
    """Yield the port of a server in a process of its own, which ends with the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        handle, port = listening.fileno(), listening.getsockname()[1]
        command = [sys.executable, "-m", "bench.s3_client", str(handle)]
        child = subprocess.Popen(command, pass_fds=[handle])
        try:
            yield port
        finally:
            child.terminate()
            child.wait()


def _serve(handle: int) -> None:
    listening = socket.socket(fileno=handle)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting = b""
    while received := connection.recv(65536):
        waiting += received
        while b"\r\n\r\n" in waiting:
            head, _, waiting = waiting.partition(b"\r\n\r\n")
            time.sleep(LATENCY)
            connection.sendall(LIST_ANSWER if head.startswith(b"GET") else COPY_ANSWER)


def _whole(body: str) -> bytes:
    fields = f"x-amz-version-id: QUpfdndhfd8438MNFDN93jdnJFkdmqnh893\r\ncontent-length: {len(body)}"
    return f"HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: application/xml\r\n{fields}\r\n\r\n{body}".encode()


COPY_ANSWER, LIST_ANSWER = _whole(COPIED), _whole(LISTED)

if __name__ == "__main__":
    if len(sys.argv) > 1:
        _serve(int(sys.argv[1]))
    else:
        print(table(measure()))
