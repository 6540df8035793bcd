"""Begin something that will be needed soon, and go on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def early(make: Callable[[], T]) -> Callable[[], T]:
    """Call `make` in a thread at once; return how to wait for what it returns, or raises."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(make())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result


def begun(items: Iterable[T]) -> Iterator[T]:
    """Return the same items, the first of which is fetched at once in a thread, the others when they are asked for."""
    source = iter(items)
    first = early(lambda: next(source, _END))

    def rest() -> Iterator[T]:
        item = first()
        if item is not _END:
            yield item  # type: ignore[misc]  # the end is no item
            yield from source

    return rest()


_END = object()
