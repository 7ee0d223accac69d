"""Records that are kept packed are those that were given, in whatever part they are asked for."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from fer_transfer.files import packed
from fer_transfer.files.packed import Packed, distinct

records = st.lists(st.text(max_size=3) | st.integers() | st.tuples(st.text(max_size=3), st.none()), max_size=40)


@given(records=records, together=st.integers(1, 9), start=st.integers(0, 45), stop=st.integers(0, 45), data=st.data())
def test_packed_records_are_as_a_list_has_them(records, together, start, stop, data):
    before, packed._TOGETHER = packed._TOGETHER, together
    try:
        of = Packed(records[:7])
        for record in records[7:]:
            of.append(record)
        assert list(of) == records and len(of) == len(records) and list(reversed(of)) == records[::-1]
        assert list(of.part(start, min(stop, len(of)))) == records[start:stop]
        place = data.draw(st.slices(len(records)))
        assert of[place] == records[place]
        assert [of[row] for row in range(-len(of), len(of))] == records * 2
        assert distinct(of) == len(set(records))
    finally:
        packed._TOGETHER = before


def test_two_may_go_through_the_same_records_at_once():
    of = Packed(range(5000))
    assert list(zip(of, of, strict=True)) == [(number, number) for number in range(5000)]


def test_names_of_pictures_take_few_bytes_each():
    tracemalloc.start()
    try:
        of = Packed(f"Train/Happy/picture_{number:08d}.png" for number in range(20_480))
        assert tracemalloc.get_traced_memory()[0] < 8 * len(of)  # Python's own: 85 and more
    finally:
        tracemalloc.stop()
