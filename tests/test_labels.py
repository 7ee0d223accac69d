"""One order of the seven expressions, whatever a release calls or numbers them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_transfer.errors import ReleaseError
from fer_transfer.labels import EXPRESSIONS, SEVEN, UNLABELLED

#: Goodfellow et al. 2013: 0 to 6.
FER2013 = ["Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"]
#: Folders of SFEW as they are sorted, with the number each has here.
SFEW = {"Angry": 0, "Disgust": 1, "Fear": 2, "Happy": 3, "Neutral": 6, "Sad": 4, "Surprise": 5}
#: FER+'s column names.
FERPLUS = {"neutral": 6, "happiness": 3, "surprise": 5, "sadness": 4, "anger": 0, "disgust": 1, "fear": 2}


def test_orders():
    assert list(EXPRESSIONS) == FER2013
    assert UNLABELLED not in range(7)


@pytest.mark.parametrize("names", [SFEW, FERPLUS])
def test_releases(names):
    assert {name: SEVEN.index(name) for name in names} == names and sorted(names.values()) == list(range(7))


@given(st.sampled_from([*SFEW, *FERPLUS, "disgusted", "fearful", "surprised"]), st.data())
def test_case_and_spaces_do_not_matter(name, data):
    spelt = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in name)
    spelt = data.draw(st.sampled_from(["", " ", "\t"])) + spelt + data.draw(st.sampled_from(["", " ", "\r\n"]))
    assert SEVEN.knows(spelt) and SEVEN.index(spelt) == SEVEN.index(name)


@given(st.text(max_size=12))
def test_anything_else_is_refused(name):
    if SEVEN.knows(name):
        assert SEVEN.index(name) in range(7)
    else:
        with pytest.raises(ReleaseError, match="one of the classes Angry"):
            SEVEN.index(name)


@pytest.mark.parametrize("name", ["contempt", "unknown", "NF", "Happyy", "3", ""])
def test_words_that_are_none_of_the_seven(name):
    assert not SEVEN.knows(name)
    with pytest.raises(ReleaseError, match=r"Angry, .* in Train/x, but got"):
        SEVEN.index(name, "Train/x")
