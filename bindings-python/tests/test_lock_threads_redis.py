"""Many threads on one coordinator: excluded from each other, and all served."""

from __future__ import annotations

import threading

import pytest

redis = pytest.importorskip("redis")

from locks import connect  # noqa: E402

pytestmark = pytest.mark.usefixtures("flavour")

THREADS = 32


@pytest.mark.parametrize("names", [1, 5, THREADS])
def test_threads_share_a_coordinator(server, traces, names):
    inside = [0] * names
    most = [0] * names
    fences = [[] for _ in range(names)]
    with connect(server.port) as co:

        def work(number):
            at = number % names
            lock = co.lock(f"lock {at}", ttl=5)
            for _ in range(8):
                with lock:
                    inside[at] += 1
                    most[at] = max(most[at], inside[at])
                    fences[at].append(lock.fence)
                    inside[at] -= 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
    assert most == [1] * names
    assert sum(map(len, fences)) == 8 * THREADS
    assert all(mine == sorted(set(mine)) for mine in fences)
    with server.client() as admin:
        assert traces(admin) == []
