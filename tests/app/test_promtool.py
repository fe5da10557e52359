"""What /metrics says, checked by Prometheus' own linter where it is installed (Debian's package prometheus)."""

import asyncio
import subprocess

import pytest

from tests.app.conftest import Start
from tests.app.fakes import WAIT_S
from tests.programs import debian_program

pytestmark = pytest.mark.anyio


@pytest.fixture
def promtool() -> str:
    return debian_program("promtool")


async def _exposition(start: Start, wav: bytes) -> bytes:
    """What an app says that has answered 200, 422 and 429."""
    async with start(queue_capacity=1, max_files=1) as running:
        http, gate = running.http, running.pipeline.gate
        assert (await http.post("/caption?timeline=true", files={"file": wav})).status_code == 200
        assert (await http.post("/bridge", files={"file": wav})).status_code == 200
        assert (await http.post("/text", json={"texts": ["a"]})).status_code == 200
        assert (await http.post("/caption", files={"file": b""})).status_code == 422
        gate.clear()
        held = asyncio.create_task(http.post("/caption", files={"file": wav}))
        async with asyncio.timeout(WAIT_S):
            while not running.service.in_flight:
                await asyncio.sleep(0)
        assert (await http.post("/caption", files={"file": wav})).status_code == 429
        gate.set()
        assert (await held).status_code == 200
        return (await http.get("/metrics")).content


async def test_promtool_finds_no_fault(promtool: str, start: Start, wav: bytes) -> None:
    text = await _exposition(start, wav)
    for status in (b'status="200"', b'status="422"', b'status="429"'):
        assert status in text
    check = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=WAIT_S)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_promtool_finds_faults_that_are_there(promtool: str) -> None:
    text = b"# TYPE seconds gauge\nrequest_milliseconds_total 1\n"
    check = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=WAIT_S)
    assert check.returncode != 0
    assert check.stdout + check.stderr
