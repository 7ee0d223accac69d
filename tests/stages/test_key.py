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


#: The fields of a recipe when there was a store first; its keys and settings are of these.
FIRST = {
    "backbone", "data", "labelling", "augment", "optimizer", "scheduler", "epochs", "batch_size", "precision", "keep", "head",
    "head_multiplier", "frozen", "batch_norm", "class_weights", "label_smoothing", "gradient_clip", "skip_weights", "seed",
}  # fmt: skip

#: What changes nothing, and what does, of each field that was added since.
ADDED = {
    "at_most": ("recipe.at_most=null", "recipe.at_most=64"),
    "selection": ("recipe.selection.seed=1", "recipe.selection.share=0.1"),
    "imbalance": ("imbalance=none", "imbalance=focal"),
    "averaging": ("recipe.averaging.ema=0", "recipe.averaging.swa=0.5"),
    "layer_decay": ("recipe.layer_decay=1.0", "recipe.layer_decay=0.9"),
    "mixing": ("recipe.mixing.share=0.5", "recipe.mixing.cutmix=1"),
    "distortion": ("recipe.distortion.zoom=0.0", "recipe.distortion.erase=0.1"),
    "distillation": ("recipe.distillation.temperature=4", "recipe.distillation.teacher=[a]"),
    "progressive": ("recipe.progressive.until=0.5", "recipe.progressive.start=0.5"),
    "sharpness": ("recipe.sharpness=0.0", "recipe.sharpness=0.05"),
}


def test_a_field_added_since_counts_only_where_it_changes_something():
    """Stores of before have keys and settings without it."""
    config = compose("train", ["plan=emotiw"])
    assert set(plain(config.recipe)) | {"data"} == FIRST | set(ADDED) | {"evaluation"}
    assert set(recipe_of_weights(recipe(), {})) == FIRST
    common = {name: of for name, of in plain(config.recipe).items() if name in FIRST | {"evaluation"}}
    del common["seed"], common["backbone"]["weights"]
    base, settings = key(recipe()), digest([common, {}])
    idle = plan_from(compose("train", ["plan=emotiw", *(of for of, _ in ADDED.values())]))
    assert (key(idle.last.recipe), idle.common) == (base, settings)
    for name, (_, works) in ADDED.items():
        other = plan_from(compose("train", ["plan=emotiw", works]))
        assert base != key(other.last.recipe) and settings != other.common, name
        assert name in recipe_of_weights(other.last.recipe, {})
    assert key(recipe("recipe.at_most=64")) != key(recipe("recipe.at_most=65"))


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
