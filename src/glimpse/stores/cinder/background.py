"""A request to Cinder that is made while the transfer goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Runs a call in a daemon thread of its own. The call must have a time limit of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        # log lines of the thread carry the request id
        Thread(target=copy_context().run, args=(self._run, call), name="cinder", daemon=True).start()

    def result(self) -> T:
        """Wait for the end and return the result, or raise what the call has raised."""
        return self._future.result()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            self._future.set_exception(error)
