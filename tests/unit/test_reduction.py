"""What every method checks before it computes anything."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irtools.checks import check_assignment, check_choice, check_int, check_mics, check_number
from irtools.methods.separator import Reduction, Separator

sizes = st.integers(1, 6)


@given(n=sizes, samples=st.integers(1, 50), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_finite_mics_pass_as_they_are(n, samples, dtype):
    mics = torch.linspace(-2, 2, n * samples, dtype=dtype).reshape(n, samples)
    assert check_mics(mics, 44100) is mics


@given(
    n=sizes,
    samples=st.integers(1, 50),
    where=st.data(),
    value=st.sampled_from([float("nan"), float("inf"), -float("inf")]),
)
def test_the_first_value_that_is_not_finite_is_named(n, samples, where, value):
    mics = torch.zeros(n, samples)
    at = where.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, samples - 1)), min_size=1, max_size=4))
    for mic, sample in at:
        mics[mic, sample] = value
    mic, sample = min(at)
    with pytest.raises(ValueError, match=rf"microphone {mic} .*\({value}\) at sample {sample};"):
        check_mics(mics)


def test_infinities_that_cancel_are_found():
    with pytest.raises(ValueError, match=r"microphone 0 .*inf.* sample 1"):
        check_mics(torch.tensor([[0.0, torch.inf], [-torch.inf, 0.0]]))


@pytest.mark.parametrize("value", [3e38, -3e38, 1e-45, 0.0])
def test_extreme_but_finite_values_pass(value):
    """The sum of many of them would overflow in float32."""
    assert check_mics(torch.full((3, 1000), value)).shape == (3, 1000)


@pytest.mark.parametrize("value", [1e308, -1e308])
def test_a_sum_that_overflows_in_double_is_no_error(value):
    assert check_mics(torch.full((2, 1000), value, dtype=torch.float64)).shape == (2, 1000)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int16, torch.bool, torch.complex64])
def test_other_types_are_refused(dtype):
    with pytest.raises(TypeError, match="expected dtype float32 or float64, got " + str(dtype).split(".")[1]):
        check_mics(torch.zeros(2, 8, dtype=dtype))


@pytest.mark.parametrize("shape", [(), (8,), (0, 8), (2, 0), (1, 2, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="recording: expected"):
        check_mics(torch.zeros(shape), name="recording")


@given(n=sizes, least=sizes)
def test_the_least_number_of_microphones(n, least):
    if n >= least:
        check_mics(torch.zeros(n, 3), min_mics=least)
    else:
        with pytest.raises(ValueError, match=rf"at least {least} microphone\(s\), got {n}"):
            check_mics(torch.zeros(n, 3), min_mics=least)


@pytest.mark.parametrize("rate", [44100.0, "44100", True])
def test_a_rate_that_is_no_integer_is_refused(rate):
    with pytest.raises(TypeError, match="sample_rate: expected an int in Hz"):
        check_mics(torch.zeros(1, 2), rate)


@pytest.mark.parametrize("rate", [0, -44100])
def test_a_rate_that_is_not_positive_is_refused(rate):
    with pytest.raises(ValueError, match="sample_rate: expected a positive number"):
        check_mics(torch.zeros(1, 2), rate)


@given(n_mics=sizes, n_sources=sizes)
def test_without_assignment_the_first_microphones_are_close(n_mics, n_sources):
    assert check_assignment(None, n_mics) == list(range(n_mics))
    if n_sources <= n_mics:
        assert check_assignment(None, n_mics, n_sources) == list(range(n_sources))
    else:
        with pytest.raises(ValueError, match=f"n_sources: expected 1 to {n_mics}"):
            check_assignment(None, n_mics, n_sources)


@given(assignment=st.lists(st.integers(-2, 7), max_size=6), n_mics=sizes, form=st.sampled_from([list, tuple]))
def test_an_assignment_names_existing_microphones_once(assignment, n_mics, form):
    valid = assignment and len(set(assignment)) == len(assignment) and set(assignment) <= set(range(n_mics))
    if valid:
        assert check_assignment(form(assignment), n_mics) == assignment
        assert check_assignment(torch.tensor(assignment), n_mics, len(assignment)) == assignment
        with pytest.raises(ValueError, match=f"expected {len(assignment) + 1} microphones"):
            check_assignment(assignment, n_mics, len(assignment) + 1)
    else:
        with pytest.raises(ValueError, match="assignment: expected"):
            check_assignment(assignment, n_mics)


def test_no_sources_are_refused():
    with pytest.raises(ValueError, match="n_sources: expected 1 to 3"):
        check_assignment(None, 3, 0)


@pytest.mark.parametrize("kind", [Reduction, Separator])
def test_results_are_frozen_and_share_no_state(kind):
    first, second = (kind(None) if kind is Reduction else kind(None, []) for _ in range(2))
    first.details["a"] = 1
    assert second.details == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.converged = False


BOUNDS = [
    ({"least": 1, "most": 2}, (1, 2), (0.5, 2.5), "1 to 2"),
    ({"above": 0}, (1e-9,), (0, -1), "a positive number"),
    ({"above": 0, "most": 1}, (0.1, 1), (0, 1.1), "more than 0 and at most 1"),
    ({"least": 0, "below": 1}, (0, 0.9), (-0.1, 1), "at least 0 and less than 1"),
    ({"most": 0}, (0, -5), (0.1,), "at most 0"),
    ({}, (-1e300, 0), (float("inf"), float("nan")), "a finite number"),
]


def in_s(words):
    return " in s" if words.startswith("a ") else " s"


@pytest.mark.parametrize(("bounds", "inside", "outside", "words"), BOUNDS, ids=[words for *_, words in BOUNDS])
def test_a_number_is_checked_against_its_bounds_and_they_are_told(bounds, inside, outside, words):
    assert [check_number("x", value, **bounds, unit="s") for value in inside] == list(inside)
    for value in outside:
        with pytest.raises(ValueError, match=f"^x: expected {words}{in_s(words)}, got {value}$"):
            check_number("x", value, **bounds, unit="s")
    for value in ("1", None, True, 1j):
        with pytest.raises(TypeError, match=r"^x: expected a number in s, got "):
            check_number("x", value, **bounds, unit="s")


def test_an_int_is_checked_against_its_bounds_and_they_are_told():
    assert check_int("n", 3, 3, 5) == 3 and check_int("n", 5, 3, 5) == 5
    for value, words in ((2, "3 to 5"), (6, "3 to 5")):
        with pytest.raises(ValueError, match=f"^n: expected {words} samples, got {value}$"):
            check_int("n", value, 3, 5, unit="samples")
    for value in (3.0, True, "3", None):
        with pytest.raises(TypeError, match=r"^n: expected an int, got "):
            check_int("n", value)


def test_a_choice_lists_what_there_is():
    assert check_choice("fun", "exp", ("exp", "cube")) == "exp"
    with pytest.raises(ValueError, match=r"^fun: expected one of exp, cube, got 'tanh'$"):
        check_choice("fun", "tanh", ("exp", "cube"))
