"""What is measured; most of it is tested where requests make it (`test_routes_state.py`)."""

from app.metrics import Metrics
from app.stage_observer import BatchReport


def test_the_largest_batches_of_a_gpu_have_a_bucket() -> None:
    metrics = Metrics()
    metrics.on_batch(BatchReport("write", size=256, cost=8_192, run_s=1.0, outcome="ok"))
    text = metrics.exposition().decode()
    assert 'diffusion_link_batch_size_bucket{le="256.0",stage="write"} 1.0' in text
    assert 'diffusion_link_batch_cost_bucket{le="8192.0",stage="write"} 1.0' in text
