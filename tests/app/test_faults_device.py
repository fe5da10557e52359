"""A faulty device over a real socket: poisoned, dead, stuck, out of memory or only busy, it harms no other request."""

from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from tests.app.fault_client import COSTS, SOON_S, WAIT_S, Reply, Server, assert_right, serving, until
from tests.app.fault_server import SECRET, Fault


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # Batches of one stage can then be held while the other goes on.
    with serving(tmp_path_factory.mktemp("faults"), concurrent=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _whole_again(server: Server) -> Iterator[None]:
    yield
    server.check_whole_again()


@pytest.mark.parametrize(("fault", "stage", "clip"), [(Fault.POISON_EMBED, "embed", 70), (Fault.POISON_WRITE, "write", 90)])
def test_a_poisoned_request_among_good_ones(server: Server, fault: Fault, stage: str, clip: int) -> None:
    failed = server.metric("diffusion_link_failed_batches_total", stage=stage)
    good, poisoned = _in_one_batch(server, stage, clip, fault)
    reply = poisoned.result()
    assert (reply.status, reply.error_type) == (500, "internal_error")
    assert SECRET not in reply.body.decode()
    for number, answer in good.items():
        assert_right(answer.result(), number, seed=number)
    assert any({clip + 1, clip + 3} <= set(batch) for batch in server.journal(stage)), "they were in one batch"
    # Once together, once alone.
    assert server.metric("diffusion_link_failed_batches_total", stage=stage) == failed + 2


def _in_one_batch(server: Server, stage: str, clip: int, fault: Fault) -> "tuple[dict[int, Future[Reply]], Future[Reply]]":
    """Send one clip, and seven while its batch runs; the third of these has the fault."""
    server.hold(stage)
    good = {clip: server.later(clip, seed=clip)}
    until(lambda: server.has_begun(clip, stage), "the first clip is in the stage")
    good |= {number: server.later(number, seed=number) for number in (clip + 1, clip + 2)}
    poisoned = server.later(clip + 3, seed=fault.seed(clip + 3))
    good |= {number: server.later(number, seed=number) for number in range(clip + 4, clip + 8)}
    server.until_queued(stage, 7)
    server.release()
    return good, poisoned


def test_a_runner_that_dies(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.hold("embed")
        asked = [server.begin(1), *(server.later(clip) for clip in (2, 3))]
        server.until_in_flight(3)
        asked.append(server.later(4, seed=Fault.FATAL.seed(4)))
        server.until_in_flight(4)
        assert server.live().status == 200
        server.release()
        done, _ = wait(asked, WAIT_S)
        assert len(done) == 4, "every request is answered"
        assert {reply.result().status for reply in asked} <= {200, 503}
        assert asked[-1].result().error_type == "shutting_down"
        until(lambda: server.live().status == 503, "the service is not live", 2.0)
        for path in ("/health/live", "/health/ready"):
            assert server.request("GET", path).error_type == "unhealthy"
        later = server.caption(5)
        assert (later.status, later.error_type) == (503, "unhealthy")
        assert later.took_s < SOON_S


def test_a_batch_that_does_not_end(tmp_path: Path) -> None:
    with serving(tmp_path, batch_timeout_s=0.5) as server:
        server.hold("write")
        wedged = server.later(1)
        until(lambda: server.has_begun(1, "write"), "the batch has begun")
        assert not wedged.done()
        until(lambda: server.live().status == 503, "the service is not live", 1.5)
        assert server.live().error_type == "unhealthy"
        later = server.caption(2)
        assert (later.status, later.error_type) == (503, "unhealthy")
        assert later.took_s < SOON_S


def test_a_slow_batch_within_its_bound_is_no_fault(server: Server) -> None:
    server.hold("write")
    slow = server.later(130)
    until(lambda: server.has_begun(130, "write"), "the batch has begun")
    assert server.live().status == 200
    server.release()
    assert_right(slow.result(), 130)


@pytest.mark.parametrize(("fault", "stage"), [(Fault.MEMORY_EMBED, "embed"), (Fault.MEMORY_WRITE, "write")])
def test_a_device_out_of_memory_once(tmp_path: Path, fault: Fault, stage: str) -> None:
    limit = 7 * COSTS[stage]
    with serving(tmp_path, concurrent=True, **{f"{stage}_max_batch_cost": limit}) as server:
        assert server.metric("diffusion_link_batch_cost_limit", stage=stage) == limit
        good, large = _in_one_batch(server, stage, 1, fault)
        for number, answer in good.items():
            assert_right(answer.result(), number, seed=number)
        assert_right(large.result(), 4, seed=fault.seed(4))
        assert server.metric("diffusion_link_out_of_memory_total") == 1
        assert server.metric("diffusion_link_out_of_memory_total", stage=stage) == 1
        assert server.metric("diffusion_link_failed_batches_total") == 0
        assert server.metric("diffusion_link_batch_cost_limit", stage=stage) == limit // 2
        assert server.live().status == 200


def test_health_is_quick_while_the_service_is_busy(server: Server) -> None:
    server.hold("embed")
    held = [server.begin(200), *(server.later(clip) for clip in range(201, 230))]
    server.until_in_flight(30)
    answers = [server.live() for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    assert max(answer.took_s for answer in answers) < 1.0
    server.release()
    for clip, reply in enumerate(held, 200):
        assert_right(reply.result(), clip)


def test_small_requests_are_not_behind_a_large_one(server: Server) -> None:
    server.hold("embed")
    order: list[int] = []
    first = server.begin(300)
    files = range(400, 416)
    large = server.later(*files, windows=6)
    large.add_done_callback(lambda _: order.append(400))
    # The first windows of the large one are in the queue before a small one comes.
    until(lambda: server.metric("diffusion_link_queue_depth", stage="embed") >= len(files), "the large one is queued")
    small = {clip: server.later(clip) for clip in range(301, 313)}
    for clip, reply in small.items():
        reply.add_done_callback(lambda _, clip=clip: order.append(clip))
    server.until_in_flight(1 + 16 + 12)
    server.release()
    assert_right(large.result(), *files, windows=6)
    assert_right(first.result(), 300)
    for clip, reply in small.items():
        assert_right(reply.result(), clip)
    assert len(order) == 13
    assert order[-1] == 400


def test_small_requests_overtake_a_large_one_in_the_queue(server: Server) -> None:
    server.hold("embed")
    first = server.begin(320)
    files = range(420, 436)
    large = server.later(*files, windows=2)
    server.until_queued("embed", 2 * len(files))
    small = [server.later(clip) for clip in range(321, 333)]
    server.until_queued("embed", 2 * len(files) + len(small))
    server.release()
    assert_right(first.result(), 320)
    assert_right(large.result(), *files, windows=2)
    for clip, reply in enumerate(small, 321):
        assert_right(reply.result(), clip)
    batches = server.journal("embed")
    last = max(index for index, batch in enumerate(batches) if any(321 <= clip < 333 for clip in batch))
    # First come, first served would have embedded all 32 windows of the large one by then.
    assert sum(clip in files for batch in batches[: last + 1] for clip in batch) < len(files)
