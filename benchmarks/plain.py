"""The plain handler: what a user would write in an afternoon around the same pipeline. Run as a server process.

FastAPI runs `def` handlers in threads, so that the event loop stays free; a lock keeps them from using the device at once.
"""

import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI, UploadFile

from benchmarks.subject import DEFAULT_TOKENS, Subject
from models.audio import AudioLimits, cut_windows, decode_audio
from models.pipeline import Pipeline, pool_windows


def make_app(pipeline: Pipeline) -> FastAPI:
    """An app with POST /caption."""
    app = FastAPI()
    lock = threading.Lock()
    limits = AudioLimits()

    @app.post("/caption")
    def caption(file: UploadFile) -> dict[str, list[dict[str, str | float]]]:
        windows = cut_windows(decode_audio(file.file.read(), limits))
        with lock:
            clip = pool_windows(pipeline.embed_audio(windows))[None]
            bridged = pipeline.bridge(clip, [0])
            ((best, *_),) = pipeline.write(bridged, seeds=[0], candidates=1, max_new_tokens=DEFAULT_TOKENS)
        return {"results": [{"caption": best.caption, "score": best.score}]}

    return app


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()
        sys.stdout.write(f"Ready: http://{host}:{port}\n")
        sys.stdout.flush()


def main() -> None:
    """Serve until a signal."""
    subject = Subject.from_command_line()
    pipeline = subject.load()
    pipeline.warm_up()
    _Server(uvicorn.Config(make_app(pipeline), port=0)).run()


if __name__ == "__main__":
    main()
