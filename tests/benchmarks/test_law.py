import pytest

from benchmarks.law import CostLaw
from benchmarks.scenarios import accepted_bound_ms


def test_a_batch_costs_what_the_law_says() -> None:
    law = CostLaw.parse("20,2.5")
    assert law == CostLaw(20.0, 2.5)
    assert str(law) == "20,2.5"
    assert law.batch_ms(8) == 40
    assert law.lone_ms == 45


def test_the_ideal_is_full_batches_of_both_stages_in_turn() -> None:
    assert CostLaw(20, 2.5).ideal_per_s(8) == pytest.approx(8 / 0.080)
    assert CostLaw(20, 2.5).ideal_per_s(1) == pytest.approx(1 / 0.045)
    assert CostLaw(0, 5).ideal_per_s(8) == CostLaw(0, 5).ideal_per_s(1) == 100
    assert CostLaw(0.1, 0).ideal_per_s(4) == pytest.approx(20_000)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "-1,2", "1,-2", "0,0", "nan,1", "inf,1"])
def test_laws_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (float's own messages are among them)
        CostLaw.parse(text)


def test_the_bound_of_an_accepted_request() -> None:
    # 64 places at 100 a second are 640 ms, a turn of the stages 80 ms, and 5 ms go to HTTP and decoding.
    assert accepted_bound_ms(64, 8, 100, 5) == pytest.approx(725)
