import copy
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fer_transfer.config import compose
from fer_transfer.stages.key import digest, stage_key
from fer_transfer.stages.plan import plan_from

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value, seed):
    if isinstance(value, dict):
        items = [(k, shuffled(v, seed)) for k, v in value.items()]
        random.Random(seed).shuffle(items)
        return dict(items)
    return tuple(shuffled(v, seed) for v in value) if isinstance(value, list) else value


def floated(value):
    if isinstance(value, dict):
        return {k: floated(v) for k, v in value.items()}
    if isinstance(value, list):
        return [floated(v) for v in value]
    return float(value) if type(value) is int else value


@settings(max_examples=60, deadline=None)
@given(values, st.integers())
def test_spelling_does_not_matter(value, seed):
    assert digest(value) == digest(shuffled(value, seed)) == digest(floated(value))


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=1, max_size=5), st.data())
def test_every_difference_matters(content, data):
    name = data.draw(st.sampled_from(sorted(content)))
    other = copy.deepcopy(content)
    other[name] += 1
    assert digest(content) != digest(other)
    del other[name]
    assert digest(content) != digest(other)


def recipe(*overrides):
    return plan_from(compose("train", ["plan=emotiw", *overrides])).last.recipe


def test_path_of_the_weights_does_not_count_but_their_digest_does():
    here, there = recipe("recipe.backbone.weights=/a/x.pth"), recipe("recipe.backbone.weights=/b/y.pth")
    assert stage_key(here, "sha256:1", {"emotiw": "d"}) == stage_key(there, "sha256:1", {"emotiw": "d"})
    assert stage_key(here, "sha256:1", {"emotiw": "d"}) != stage_key(here, "sha256:2", {"emotiw": "d"})


def test_recipe_parent_and_faces_count():
    base = stage_key(recipe(), "p", {"emotiw": "d"})
    assert stage_key(recipe(), "p", {"emotiw": "e"}) != base
    assert stage_key(recipe(), "q", {"emotiw": "d"}) != base
    for override in ("recipe.seed=1", "recipe.optimizer.lr=0.002", "recipe.augment.mirror=false", "recipe.frozen=[a]"):
        assert stage_key(recipe(override), "p", {"emotiw": "d"}) != base


def test_runtime_does_not_count():
    other = recipe("runtime.device=cpu", "runtime.threads=1", "runtime.store=elsewhere")
    assert stage_key(other, "p", {"emotiw": "d"}) == stage_key(recipe(), "p", {"emotiw": "d"})


def test_how_predictions_are_made_does_not_count():
    ten = recipe("recipe.evaluation=ten_crops")
    assert stage_key(ten, "p", {"emotiw": "d"}) == stage_key(recipe(), "p", {"emotiw": "d"})
