"""What an answer of a model server that is an error says, and whom it speaks to."""

from __future__ import annotations

from http import HTTPStatus

from mldr.errors import EndpointFailed, MldrError, RequestRefused, Throttled

# Path and credentials were chosen by mldr, or by who reaches the container for it, not by the client.
TO_MLDR = (401, 403, 404, 405, 407)


def unanswered(told: str, status: int, said: str) -> MldrError:
    """Return the error that an answer in place of a prediction is: only 4xx about the request has the model's words.

    A 401 of a container's would read as a wrong gateway token, and a 404 of a server that has not loaded its model as
    the last word about a request that is right.
    """
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(f"{told}; it is asked again, more slowly")
    if not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return EndpointFailed(told)
    return RequestRefused(told) if status in TO_MLDR else RequestRefused(told, status=status, said=said)
