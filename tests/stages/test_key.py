import copy
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fer_transfer.config import plain
from fer_transfer.files.digest import digest
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.settings import compose
from fer_transfer.stages import key as module
from fer_transfer.stages.key import recipe_of_weights, stage_key
from fer_transfer.stages.lineage import FacesUsed, Prepared
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


def key(content, start="p", digest="d", train=("Train",), network=None, classes=EXPRESSIONS):
    faces = FacesUsed(Prepared(digest, "emotiw", classes=classes), train, ("Val",), ())
    return stage_key(recipe_of_weights(content, network or {}), start, (faces,))


def test_path_of_the_weights_does_not_count_but_their_digest_does():
    here, there = recipe("recipe.backbone.weights=/a/x.pth"), recipe("recipe.backbone.weights=/b/y.pth")
    assert key(here, "sha256:1") == key(there, "sha256:1") != key(there, "sha256:2")


def test_recipe_parent_and_faces_count():
    base = key(recipe())
    assert (
        key(recipe(), digest="e") != base
        and key(recipe(), "q") != base
        and key(recipe(), train=("Train", "Val")) != base
    )
    for override in ("recipe.seed=1", "recipe.optimizer.lr=0.002", "recipe.augment.mirror=false", "recipe.frozen=[a]"):
        assert key(recipe(override)) != base


def test_what_the_network_is_fed_counts_wherever_it_was_said():
    assert key(recipe(), network={"mean": [0.5]}) != key(recipe(), network={"mean": [0.4]})


def test_runtime_does_not_count():
    assert key(
        recipe("runtime.device=cpu", "runtime.threads=1", "runtime.store=elsewhere", "runtime.deterministic=true")
    ) == key(recipe())


def test_how_predictions_are_made_does_not_count():
    assert key(recipe("recipe.evaluation=ten_crops")) == key(recipe())


def test_a_field_added_since_counts_only_where_it_changes_something():
    """Stores of before have keys and settings without it."""
    added = {"at_most", "selection", "imbalance", "averaging", "layer_decay", "mixing", "distortion"}
    assert not added & set(recipe_of_weights(recipe(), {}))
    assert recipe_of_weights(recipe("recipe.at_most=64"), {})["at_most"] == 64
    assert len({key(recipe()), key(recipe("recipe.at_most=64")), key(recipe("recipe.at_most=65"))}) == 3
    config = compose("train", ["plan=emotiw"])
    common = plain(config.recipe)
    assert common.pop("at_most", "missing") is None
    assert common.pop("selection") == {"share": 0, "seed": 0}
    assert not set(common.pop("imbalance").values()) - {"all", 0}
    assert common.pop("mixing") == {"mixup": 0, "cutmix": 0, "share": 1}
    assert not any(common.pop("distortion").values())
    assert common.pop("averaging") == {"ema": 0, "swa": 0} and common.pop("layer_decay") == 1
    del common["seed"], common["backbone"]["weights"]
    assert plan_from(config).common == digest([common, {}])
    assert plan_from(compose("train", ["plan=emotiw", "recipe.at_most=64"])).common != digest([common, {}])


def test_the_word_for_the_faces_does_not_count():
    other = recipe("~plan.stages.emotiw.data.train.emotiw", "+plan.stages.emotiw.data.train.mine=[Train]")
    assert key(other) == key(recipe())


def test_the_order_of_the_faces_of_a_union_counts():
    one, two = (FacesUsed(Prepared(name, name), ("Train",), (), ()) for name in "ab")
    content = recipe_of_weights(recipe(), {})
    assert stage_key(content, "p", (one, two)) != stage_key(content, "p", (two, one))


def test_labels_and_the_versions_that_decide_what_is_trained_count(monkeypatch):
    base = key(recipe())
    assert key(recipe(), classes=("Sad", "Angry")) != key(recipe(), classes=("Angry", "Sad")) != base
    for name in ("torch", "timm", "pytorch-lightning", "numpy"):
        monkeypatch.setattr(module, "version", lambda asked, name=name: "99.1.2" if asked == name else "2.3.4+cpu")
        other = key(recipe())
        monkeypatch.setattr(module, "version", lambda asked, name=name: "99.1.3" if asked == name else "2.3.5")
        assert key(recipe()) == other, "a patch does not count"
        monkeypatch.setattr(module, "version", lambda asked: "2.3.4")
        assert key(recipe()) != other
        monkeypatch.undo()
