"""Two hundred requests at once, many of them with a fault: no answer is lost, and none is another request's."""

import http.client
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app.fault_client import Reply, Server, form, head, serving
from tests.app.fault_server import Fault, caption_of, clip_bytes, level_of, level_of_clip, text_code

_REQUESTS = 200
_THREADS = 20
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset."""


class _Storm:
    """Requests of many kinds; each says whether its answer was right, or nothing if it did not wait for one."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self._server = server
        self._chance = chance
        self._kinds: dict[Callable[[int, int], bool | None], int] = {
            self._plain: 90,
            self._long: 8,
            self._form_with_a_bad_file: 12,
            self._embedding: 10,
            self._texts: 10,
            self._poisoned: 16,
            self._too_large_once: 2,
            self._short_of_time: 18,
            self._unreadable: 8,
            self._gone_while_uploading: 12,
            self._gone_after_sending: 14,
        }
        assert sum(self._kinds.values()) == _REQUESTS

    def run(self) -> Counter[str]:
        """Send all of them in any order; returns how many answers were right, wrong, lost, and not waited for."""
        kinds = [kind for kind, count in self._kinds.items() for _ in range(count)]
        self._chance.shuffle(kinds)
        jobs = [(kind, clip, self._chance.randrange(1, 40)) for clip, kind in enumerate(kinds, 1)]
        with ThreadPoolExecutor(_THREADS) as pool:
            return Counter(pool.map(lambda job: self._outcome(*job), jobs))

    def _outcome(self, kind: Callable[[int, int], bool | None], clip: int, dice: int) -> str:
        try:
            right = kind(clip, dice)
        except (OSError, http.client.HTTPException):
            return "lost"
        return {None: "gone", True: "right", False: f"wrong: {kind.__name__}"}[right]

    def _plain(self, clip: int, dice: int) -> bool:
        return _is_right(self._server.caption(clip, seed=dice), clip, dice)

    def _long(self, clip: int, dice: int) -> bool:
        return _is_right(self._server.caption(clip, seed=dice, windows=4), clip, dice, 4)

    def _form_with_a_bad_file(self, clip: int, dice: int) -> bool:
        body, kind = form([clip_bytes(clip), b"no sound", clip_bytes(clip, 3)])
        reply = self._server.request("POST", f"/caption?seed={dice}", body, {"content-type": kind})
        first, second, third = reply.json["results"]
        captions = [first["caption"], third["caption"]]
        return (
            captions == [caption_of(clip, dice), caption_of(clip, dice, 3)]
            and second["filename"] == "1"
            and "error" in second
        )

    def _embedding(self, clip: int, dice: int) -> bool:
        body, kind = form([clip_bytes(clip)])
        reply = self._server.request("POST", f"/bridge?seed={dice}", body, {"content-type": kind})
        return level_of(reply.json["results"][0]["embedding"]) == level_of_clip(clip)

    def _texts(self, clip: int, dice: int) -> bool:
        texts = [f"text {clip} {number}" for number in range(dice)]
        body = json.dumps({"texts": texts}).encode()
        results = self._server.request("POST", "/text", body, {"content-type": "application/json"}).json["results"]
        return [level_of(result["embedding"]) for result in results] == [text_code(text) for text in texts]

    def _poisoned(self, clip: int, dice: int) -> bool:
        fault = Fault.POISON_EMBED if dice % 2 else Fault.POISON_WRITE
        return self._server.caption(clip, seed=fault.seed(dice)).status == 500

    def _too_large_once(self, clip: int, dice: int) -> bool:
        seed = Fault.MEMORY_EMBED.seed(dice)
        return _is_right(self._server.caption(clip, seed=seed), clip, seed)

    def _short_of_time(self, clip: int, dice: int) -> bool:
        reply = self._server.caption(clip, seed=dice, windows=2, x_timeout_ms=str(dice))
        return reply.status == 504 or _is_right(reply, clip, dice, 2)

    def _unreadable(self, clip: int, dice: int) -> bool:
        reply = self._server.request("POST", "/caption", b"no sound" * dice, {"content-type": "audio/wav"})
        return reply.error_type == "unreadable_audio"

    def _gone_while_uploading(self, clip: int, dice: int) -> None:
        data = clip_bytes(clip)
        self._leave(head(content_length=len(data)) + data[: len(data) * dice // 40], dice)

    def _gone_after_sending(self, clip: int, dice: int) -> None:
        data = clip_bytes(clip, 2)
        self._leave(head(f"/caption?seed={dice}", content_length=len(data)) + data, dice)

    def _leave(self, sent: bytes, dice: int) -> None:
        with self._server.connect() as client:
            client.sendall(sent)
            if dice % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _is_right(reply: Reply, clip: int, seed: int, windows: int = 1) -> bool:
    return reply.status == 200 and reply.captions() == [caption_of(clip, seed, windows)]


@pytest.mark.parametrize("concurrent", [False, True])
def test_no_answer_is_lost_or_mixed_up(tmp_path: Path, concurrent: bool) -> None:
    with serving(tmp_path, batch_s=0.004, concurrent=concurrent) as server:
        outcomes = _Storm(server, random.Random(concurrent)).run()
        assert outcomes == {"right": _REQUESTS - 26, "gone": 26}
        server.until_in_flight(0)
        assert server.metric("diffusion_link_queue_depth") == 0
        assert server.metric("diffusion_link_out_of_memory_total") == 1
        assert server.live().status == 200
        # Neither places nor room for decoded windows have leaked.
        server.check(*range(1_001, 1_017), windows=6)
