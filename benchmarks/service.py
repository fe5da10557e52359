"""The service, as `diffusion-link serve` runs it, around the subject of a benchmark. Run as a server process."""

import sys

from app.command_serve import bind_port, run_server
from app.logs import configure_logging
from app.main import create_app
from app.settings import ServiceSettings
from benchmarks.subject import CPU_THREADS, DEFAULT_TOKENS, Subject


def main() -> int:
    """Serve until a signal."""
    subject = Subject.from_command_line()
    configure_logging()
    settings = ServiceSettings(
        device=subject.device,
        cpu_threads=CPU_THREADS,
        queue_capacity=subject.queue_capacity,
        embed_max_batch_cost=subject.batch,
        # As many captions as windows, so that batches of both stages hold as much as those of the raw loop.
        write_max_batch_cost=subject.batch * DEFAULT_TOKENS,
    )
    with bind_port("127.0.0.1", 0) as listener:
        pipeline = subject.load()
        return run_server(create_app(settings, load=lambda *_: pipeline), settings, listener)


if __name__ == "__main__":
    sys.exit(main())
