from benchmarks.load import Run, Sample


def sample(
    scheduled_s: float, ended_s: float, status: int = 200, fault: str = "", headers: dict[str, str] | None = None
) -> Sample:
    return Sample(scheduled_s, scheduled_s + 0.01, ended_s, status, fault, headers or {})


def test_latency_counts_from_when_a_request_was_due() -> None:
    run = Run([sample(1.0, 1.5)], 0.0, 2.0)
    assert run.latencies_ms() == [500]
    assert [round(lag) for lag in run.lags_ms()] == [10]


def test_throughput_counts_what_ends_in_the_measured_time() -> None:
    samples = [
        sample(0.5, 0.9),  # ends while it warms up
        sample(0.9, 1.0),
        sample(1.0, 2.0),
        sample(2.5, 3.0),  # ends too late
        sample(1.0, 1.5, 429),
        sample(1.0, 1.5, 200, "mixed up"),
    ]
    run = Run(samples, 1.0, 3.0)
    assert run.per_s() == 1
    assert len(run.measured()) == 4
    assert run.latencies_ms(429) == [500]


def test_only_a_refusal_that_was_expected_and_says_when_to_come_back_is_no_fault() -> None:
    samples = [
        sample(0, 1),
        sample(0, 1, 429, "queue_full", {"retry-after": "1"}),
        sample(0, 1, 429, "queue_full"),
        sample(0, 1, 429, "queue_full", {"retry-after": "soon"}),
        sample(0, 1, 0, "ServerDisconnectedError"),
        sample(0, 1, 200, "mixed up"),
    ]
    run = Run(samples, 0, 2)
    rest = {"0 ServerDisconnectedError": 1, "200 mixed up": 1}
    assert run.faults() == {"429 queue_full": 3, **rest}
    assert run.faults(refusals=True) == {"429 queue_full": 2, **rest}


def test_stage_times_are_means_over_right_answers() -> None:
    samples = [sample(0, 1, headers={"x-embed-ms": value}) for value in ("1.5", "2.5")]
    assert Run([*samples, sample(0, 1, 500)], 0, 2).stages_ms() == {"x-embed-ms": 2}
    assert Run([sample(0, 1)], 0, 2).stages_ms() == {}
