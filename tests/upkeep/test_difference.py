"""What tells stages apart, and how keys are found by their first digits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_transfer.errors import StoreError
from fer_transfer.files.digest import digest
from fer_transfer.upkeep.contents import found_by, shortest
from fer_transfer.upkeep.difference import ABSENT, differences

leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text("ab.", max_size=3)
recipes = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=3),
    max_leaves=10,
)
keys = st.sets(st.text("01a", min_size=6, max_size=6), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(recipes, recipes)
def test_there_is_a_difference_exactly_where_digests_differ(a, b):
    found = differences({"x": a}, {"x": b})
    assert bool(found) == (digest({"x": a}) != digest({"x": b}))
    assert sorted(found) == sorted((of.field, of.b, of.a) for of in differences({"x": b}, {"x": a}))


@given(keys, st.data())
def test_a_key_is_found_by_its_beginning_where_it_is_the_only_one(known, data):
    key = data.draw(st.sampled_from(sorted(known)))
    prefix = key[: data.draw(st.integers(1, 6))]
    alike = [other for other in known if other.startswith(prefix)]
    if len(alike) == 1:
        assert found_by(prefix, known, "stage", "store") == key
    else:
        with pytest.raises(StoreError, match=f"but {len(alike)} begin with '{prefix}'"):
            found_by(prefix, known, "stage", "store")


@given(keys)
def test_the_shortest_beginnings_tell_all_keys_apart_and_no_shorter_ones_do(known):
    digits = shortest(known, 1)
    assert len({key[:digits] for key in known}) == len(known)
    assert digits == 1 or len({key[: digits - 1] for key in known}) < len(known)


def test_a_field_that_one_lacks_is_no_null():
    assert differences({"a": None, "b": 1}, {"b": 1}) == [("a", "null", ABSENT)]
