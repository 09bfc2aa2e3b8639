"""Work side by side: the same results in the same order, one thread each, and everything as it was afterwards."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from netloom.threads import in_turn, one_thread, side_by_side


def blas():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def allowed(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("allowed", [1, 2, 5], indirect=True)
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order_and_threads_are_given_back(allowed, count):
    limits = blas()

    def work(i):
        time.sleep(0.002 * (i * 5 % 3))
        return i, torch.get_num_threads(), threading.get_ident()

    with side_by_side() as each:
        done = list(each(work, range(count)))
        again = list(each(lambda i: i * i, range(count)))
    assert [i for i, _, _ in done] == list(range(count)) and again == [i * i for i in range(count)]
    assert {threads for _, threads, _ in done} <= {1}
    assert len({ident for _, _, ident in done}) <= allowed
    assert torch.get_num_threads() == allowed and blas() == limits


@pytest.mark.parametrize("allowed", [2], indirect=True)
def test_two_are_at_work_at_once_and_the_calling_thread_is_one_of_them(allowed):
    both = threading.Barrier(2, timeout=60)

    def work(i):
        if i < 2:
            both.wait()  # passes only where two threads are here at once
        return threading.get_ident()

    with side_by_side() as each:
        idents = list(each(work, range(6)))
    assert idents[0] == threading.get_ident() != idents[1] and len(set(idents)) == 2


@pytest.mark.parametrize("allowed", [2], indirect=True)
def test_whoever_is_free_takes_what_is_left(allowed):
    free = threading.Event()

    def work(i):
        if i == 1:
            assert free.wait(60)  # the pool's only thread is held up here until all others are done
        if i == 2:
            free.set()
        return threading.get_ident()

    with side_by_side() as each:
        idents = list(each(work, range(5)))
    assert {idents[i] for i in (0, 2, 3, 4)} == {threading.get_ident()}


@pytest.mark.parametrize("allowed", [1, 2], indirect=True)
@pytest.mark.parametrize("bad", [0, 1, 4])
def test_an_error_ends_the_rest_and_is_the_callers(allowed, bad):
    begun = []

    def work(i):
        begun.append(i)
        if i == bad:
            raise ValueError(f"item {i}")
        time.sleep(0.01)
        return i

    with pytest.raises(ValueError, match=f"item {bad}"), side_by_side() as each:
        list(each(work, range(40)))
    assert len(begun) < 40
    assert torch.get_num_threads() == allowed


@pytest.mark.parametrize("allowed", [2], indirect=True)
def test_blas_is_given_back_though_another_thread_is_inside(allowed):
    limits = blas()
    with one_thread() as outside:
        assert outside == 2 and torch.get_num_threads() == 1 and set(blas()) == {1}
        with one_thread() as inside:
            assert inside == 1
        assert set(blas()) == {1}
        left = threading.Event()

        def other():
            torch.set_num_threads(2)
            with one_thread():
                assert left.wait(60)

        thread = threading.Thread(target=other)
        thread.start()
    left.set()
    thread.join()
    assert blas() == limits


USERS = """
import threading
import torch
from threadpoolctl import threadpool_info
from netloom.threads import one_thread

first_in, second_in, first_out, second_out = (threading.Event() for _ in range(4))

def first():
    with one_thread():
        first_in.set()
        assert second_in.wait(60)
    first_out.set()
    assert second_out.wait(60)  # this thread is still there when the other leaves

def second():
    assert first_in.wait(60)
    with one_thread():
        second_in.set()
        assert first_out.wait(60)
    print(*{library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"})
    second_out.set()

torch.set_num_threads(2)
threads = [threading.Thread(target=work) for work in (first, second)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_of_a_user_leave_blas_as_it_was():
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    run = subprocess.run([sys.executable, "-c", USERS], capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.split() == ["2"]


@pytest.mark.parametrize("allowed", [1, 2], indirect=True)
def test_blas_is_held_back_whatever_torch_may_use(allowed):
    with threadpool_limits(2, user_api="blas"):
        with one_thread():
            assert set(blas()) == {1}
        assert set(blas()) == {2}


def test_in_turn_works_when_asked():
    begun = []
    results = in_turn(begun.append, range(3))
    next(results)
    assert begun == [0]
