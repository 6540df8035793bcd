"""What every request passes before moto sees it: identify, refuse for an outage, refuse for want of permission, log."""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from moto.s3.models import s3_backends
from werkzeug.test import run_wsgi_app

from localcloud.answers import BROKEN, DENIED, UNAVAILABLE, error
from localcloud.calls import Call, CallLog, Identity, bucket_and_key, copy_source, identify, is_bucket_configuration
from localcloud.outage import GLOBAL_CONTROL_PLANES, Outage
from localcloud.permissions import Permissions
from localcloud.server import Environ, WsgiApp

log = logging.getLogger(__name__)
Answer = tuple[int, Mapping[str, str] | Iterable[tuple[str, str]], bytes]


class Gate:
    """WSGI middleware in front of the AWS services; paths of the tools themselves go to `inner` unseen."""

    def __init__(
        self,
        inner: WsgiApp,
        tools: Mapping[str, WsgiApp],
        outage: Outage,
        permissions: Permissions,
        calls: CallLog,
        account: str,
    ):
        self._inner, self._tools = inner, tools
        self._outage, self._permissions, self._calls, self._account = outage, permissions, calls, account

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        for prefix, tool in self._tools.items():
            if str(environ["PATH_INFO"]).startswith(prefix):
                return tool(environ, start_response)
        status, headers, body = self._answer(environ)
        start_response(f"{status} -", list(headers.items() if isinstance(headers, Mapping) else headers))
        return [body]

    def _answer(self, environ: Environ) -> Answer:
        at, identity = time.time(), identify(environ)
        regions = self._regions(identity, environ)
        refused = None
        if down := self._outage.down_among(regions):
            refused = "region failed"
            answer: Answer = error(identity, environ, 503, UNAVAILABLE, f"{down} is failed")
        elif message := self._permissions.refusal(identity, environ):
            refused = "not authorised"
            answer = error(identity, environ, 403, DENIED, message)
        else:
            answer = self._served(identity, environ)
        where = down or regions[0]
        self._calls.append(
            Call(at, where, identity.service, identity.operation, identity.access_key, answer[0], refused)
        )
        return answer

    def _served(self, identity: Identity, environ: Environ) -> Answer:
        try:
            body, status, headers = run_wsgi_app(self._inner, environ, buffered=True)
        except Exception as fault:
            # What moto cannot do must reach the client as an answer: the connection carries other requests.
            log.exception("%s %s is broken in moto", identity.service, identity.operation)
            return error(identity, environ, 500, BROKEN, f"the local cloud failed at {identity.operation}: {fault!r}")
        code = int(status.split(" ", 1)[0])
        if code == 404 and self._permissions.hides_missing(identity, environ):
            return error(
                identity, environ, 403, DENIED, "no s3:ListBucket: a missing object looks like a forbidden one"
            )
        return code, list(headers.items()), b"".join(body)

    def _regions(self, identity: Identity, environ: Environ) -> list[str]:
        """Every region that must be up for this request; the one that serves it comes first."""
        if identity.service != "s3":
            return [identity.region]
        source = copy_source(environ)
        named = [bucket_and_key(environ)[0], *([source[0]] if source else [])]
        stored = s3_backends[self._account]["aws"].buckets
        homes = [stored[name].region_name for name in named if name in stored]
        configuring = [GLOBAL_CONTROL_PLANES] if is_bucket_configuration("s3", identity.operation) else []
        return [*homes, identity.region, *configuring]
