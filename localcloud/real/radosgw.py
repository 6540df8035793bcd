"""A real S3 server: one Ceph monitor, manager, bluestore OSD and RADOS Gateway from Debian's packages, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.real.access import REGION, Access
from localcloud.real.processes import NotStarted, Processes, answers, free_port, working_directory

ROOT = Access("mldrlocalaccess", "mldr-local-secret-on-loopback")
# The key that SSE-KMS names; the secret behind it protects nothing but data that goes with the server.
KEY_ID = f"arn:aws:kms:{REGION}:123456789012:key/mldr-local"
KEY_SECRET = "bWxkci1sb2NhbC1rZXktb2Ytcm91bmQtMzItYnl0ZXM="  # noqa: S105 - see above

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = {monitor}
mon initial members = a
public addr = 127.0.0.1
keyring = {root}/keyring
run dir = {root}/run
crash dir = {root}/run
log file = {root}/log/$name.log
mon cluster log file = {root}/log/cluster.log
pid file =
admin socket =
debug ms = 0
debug rgw = 0
mon pg warn min per osd = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1
mon max pg per osd = 2000
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class load list = *
osd class default list = *
[mon.a]
mon data = {root}/mon
[mgr.x]
mgr data = {root}/mgr
[osd.0]
osd data = {root}/osd
osd objectstore = bluestore
osd memory target = 2147483648
osd fast shutdown = true
bluestore block size = {size}
bluestore block create = true
bluestore block db create = false
bluestore block wal create = false
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
rgw relaxed region enforcement = true
rgw gc obj min wait = 1
rgw gc processor period = 10
rgw lc debug interval = 10
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {key}
"""

SIZE = 40 * 1024**3  # bytes

KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx", "mgr": "allow rw"},
}
PROGRAMS = ("ceph-authtool", "monmaptool", "ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "radosgw", "radosgw-admin")


@dataclass(frozen=True)
class Radosgw:
    """A running gateway. Its buckets and objects go with it."""

    endpoint_url: str
    access_key: str
    secret_key: str
    key_id: str
    environment: Mapping[str, str]
    region: str = REGION

    @classmethod
    @contextmanager
    def started(cls, directory: Path | None = None, *, size: int = SIZE) -> Iterator[Radosgw]:
        """Yield a server whose data is in an empty directory (default: a temporary one); NotStarted if it fails.

        It holds `size` bytes at the most. They are taken as they are first written, and never given back.
        """
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        if missing:
            raise NotStarted(f"{', '.join(missing)} not found: python -m localcloud.real install radosgw")
        with working_directory(directory) as root, Processes(root / "log") as processes:
            port = free_port()
            environment = _configure(root, port, size)
            _start_cluster(root, processes, environment)
            processes.start("radosgw", ["radosgw", "--foreground", "--name", "client.rgw.a"], environment)
            processes.wait_until("the gateway answers", lambda: answers(port), 90)
            _make_user(environment)
            yield cls(f"http://127.0.0.1:{port}", ROOT.access_key, ROOT.secret_key, KEY_ID, environment)

    def fresh_access(self) -> Access:
        """Return the keys of a new user in a tenant of its own: no bucket is there yet, whatever others have made."""
        name = uuid.uuid4().hex
        access = Access(f"a{name}", f"s{name}")
        user = f"uid={quote(f'{name}$user')}&display-name=test&max-buckets=0"
        keys = f"access-key={access.access_key}&secret-key={access.secret_key}&key-type=s3"
        self._admin("PUT", f"/admin/user?{user}&{keys}")
        return access

    def collect_garbage(self) -> None:
        """Free what deleted and overwritten objects still hold, so that the next measurement starts alike."""
        _run(["radosgw-admin", "gc", "process", "--include-all"], self.environment)

    def _admin(self, method: str, path: str) -> None:
        request = AWSRequest(method, self.endpoint_url + path)
        S3SigV4Auth(Credentials(ROOT.access_key, ROOT.secret_key), "s3", self.region).add_auth(request)
        prepared = request.prepare()
        sent = urllib.request.Request(prepared.url, method=method, headers=dict(prepared.headers))  # noqa: S310 - ours
        urllib.request.urlopen(sent, timeout=30).close()  # noqa: S310 - the same


def _configure(root: Path, port: int, size: int) -> dict[str, str]:
    for name in ("mon", "mgr", "osd", "run"):
        (root / name).mkdir()
    fsid = str(uuid.uuid4())
    monitor = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
    key = f"{KEY_ID}={KEY_SECRET}"
    (root / "ceph.conf").write_text(
        CONFIGURATION.format(root=root, fsid=fsid, port=port, monitor=monitor, key=key, size=size)
    )
    environment = {**os.environ, "CEPH_CONF": str(root / "ceph.conf")}
    for number, (name, capabilities) in enumerate(KEYS.items()):
        caps = [part for service, allowed in capabilities.items() for part in ("--cap", service, allowed)]
        create = [] if number else ["--create-keyring"]
        _run(["ceph-authtool", *create, "--gen-key", "--name", name, *caps, f"{root}/keyring"], environment)
    _run(["monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, f"{root}/monmap"], environment)
    return environment


def _start_cluster(root: Path, processes: Processes, environment: Mapping[str, str]) -> None:
    _run(["ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{root}/monmap", "--keyring", f"{root}/keyring"], environment)
    processes.start("ceph-mon", ["ceph-mon", "--foreground", "-i", "a"], environment)
    _run(["ceph", "auth", "import", "-i", f"{root}/keyring"], environment)
    processes.start("ceph-mgr", ["ceph-mgr", "--foreground", "-i", "x"], environment)
    osd = str(uuid.uuid4())
    _run(["ceph", "osd", "new", osd], environment)
    _run(["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd], environment)
    processes.start("ceph-osd", ["ceph-osd", "--foreground", "-i", "0"], environment)
    processes.wait_until("the OSD is up", lambda: _osds_up(environment) == 1, 60)


def _osds_up(environment: Mapping[str, str]) -> int:
    return int(json.loads(_run(["ceph", "osd", "stat", "--format", "json"], environment))["num_up_osds"])


def _make_user(environment: Mapping[str, str]) -> None:
    keys = ["--access-key", ROOT.access_key, "--secret-key", ROOT.secret_key]
    user = ["--uid", "mldr", "--display-name", "mldr", "--caps", "users=*", "--max-buckets", "0"]
    _run(["radosgw-admin", "user", "create", *user, *keys], environment)


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    """Return what a command printed; NotStarted with its words when it fails or takes a minute."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as slow:
        raise NotStarted(f"{' '.join(command)} took more than {slow.timeout:.0f} s") from slow
    if done.returncode:
        raise NotStarted(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout
