"""Small matrices on several cores: each computed by one thread, several of them side by side.

Two threads for one small product wait for each other longer than they compute: weaving and fitting took 1.2 to 2.5 times as long on two
as on one (docs/decisions/0090). So each piece of work has one thread, and pieces that do not need each other run at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from threading import Lock
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["Each", "in_turn", "one_thread", "side_by_side"]

T = TypeVar("T")
R = TypeVar("R")
Each = Callable[[Callable[[T], R], Sequence[T]], Iterator[R]]  # ``work`` of each item, in the order of the items


def in_turn(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """One after the other, each when its result is asked for."""
    return map(work, items)


@contextmanager
def one_thread() -> Iterator[int]:
    """torch and BLAS compute on one thread inside; gives how many torch may use outside."""
    allowed = torch.get_num_threads()
    with _blas_held_back():
        if allowed > 1:
            torch.set_num_threads(1)
        try:
            yield allowed
        finally:
            if allowed > 1:
                torch.set_num_threads(allowed)  # this thread's own number, and what later threads begin with


@contextmanager
def side_by_side() -> Iterator[Each]:
    """Work on as many threads as torch may use, this one among them, each alone; what is computed does not depend on their number.

    Examples
    --------
    >>> with side_by_side() as each:
    ...     list(each(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    with one_thread() as allowed:
        if allowed == 1:
            yield in_turn
            return
        with ThreadPoolExecutor(allowed - 1, initializer=partial(torch.set_num_threads, 1)) as pool:
            yield partial(_shared, pool)


def _shared(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """The first item here, the others in the pool; whoever is free takes the next, the pool from the front and this thread from the end."""
    futures: list[Future[R]] = [pool.submit(work, item) for item in items[1:]]
    mine: dict[int, R] = {}
    try:
        if items:
            yield work(items[0])
        last = len(futures)
        for i, future in enumerate(futures):
            while i < last and not future.done():
                last -= 1
                if not futures[last].cancel():  # begun, and so are all before it
                    break
                mine[last] = work(items[1 + last])
            yield mine.pop(i) if i in mine else future.result()
    finally:
        for future in futures:
            future.cancel()


_HOLDING = Lock()


@contextmanager
def _blas_held_back() -> Iterator[None]:
    """BLAS has one limit for all threads: who comes first sets it and takes it away, others meanwhile leave it alone. One who stays longer
    computes on more threads from then on: that is slower, but in the end the limit is what it was.
    """
    if not _HOLDING.acquire(blocking=False):
        yield
        return
    try:
        with _controller().limit(limits=1):
            yield
    finally:
        _HOLDING.release()


@cache
def _controller() -> ThreadpoolController:
    """Looking for libraries takes milliseconds; those of numpy and scipy are there once netloom is."""
    return ThreadpoolController().select(user_api="blas")
