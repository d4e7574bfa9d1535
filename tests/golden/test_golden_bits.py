"""No weight changes by a bit: toy trainings against those of the commit before the move."""

import json

import pytest

import golden

TENSORS = json.loads((golden.HERE / "tensors.json").read_text())


@pytest.mark.parametrize("case", golden.CASES)
def test_tensors_have_the_names_types_and_shapes_of_the_reference(trained, case):
    found = golden.tensors(trained(case))
    for kind in ("weights", "state"):
        assert found[kind] == TENSORS[case][kind]


@pytest.mark.parametrize("case", golden.CASES)
def test_a_training_stops_where_the_reference_did(trained, case):
    assert golden.tensors(trained(case))["about"] == TENSORS[case]["about"]


@pytest.mark.parametrize("case", golden.CASES)
def test_weights_and_state_are_those_of_the_reference_bit_for_bit(trained, check_bits, case):
    check_bits(case, golden.digest(trained(case)))
