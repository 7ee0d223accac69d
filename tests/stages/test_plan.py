import pytest
from omegaconf import OmegaConf

from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from
from fer_transfer.training.recipe import check_targets


def test_cascade_is_two_stages_in_order():
    plan = plan_from(compose("train", ["plan=fer28_emotiw"]))
    assert [(s.name, s.init_from) for s in plan.stages] == [("fer", None), ("emotiw", "fer")]
    assert plan.last.recipe.data["train"] == {"emotiw": ["Train"]}


def test_recipe_changes_all_stages_and_differences_change_one():
    overrides = ["plan=fer28_emotiw", "recipe.epochs=7", "+stages.emotiw.optimizer.lr=0.5", "+plan.stages.fer.seed=3"]
    fer, emotiw = plan_from(compose("train", overrides)).stages
    assert fer.recipe.epochs == emotiw.recipe.epochs == 7
    assert (fer.recipe.optimizer["lr"], emotiw.recipe.optimizer["lr"]) == (0.001, 0.5)
    assert (fer.recipe.seed, emotiw.recipe.seed) == (3, 0)


def test_another_optimizer_for_one_stage_replaces_the_group():
    overrides = ["plan=fer28_emotiw", "+stages.emotiw.optimizer={_target_: torch.optim.AdamW, lr: 0.1}"]
    fer, emotiw = plan_from(compose("train", overrides)).stages
    assert emotiw.recipe.optimizer == {"_target_": "torch.optim.AdamW", "lr": 0.1}
    assert fer.recipe.optimizer["momentum"] == 0.9


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+stages.emotiw.optimizer.lrr=1", "unknown .'lrr'"),
        ("+stages.emotiw.epoch=1", "'epoch'.* Did you mean 'epochs'"),
        ("+stages.emotiw.backbone.nam=x", "'nam'.* Did you mean 'name'"),
        ("+stages.emotiw.init_from=fer", "plan.stages.emotiw.init_from"),
        ("+stages.emotiw.data.train={}", "plan.stages.emotiw.data"),
        ("plan.stages.emotiw.data.train=5", "data.train of stage 'emotiw' to be lists of splits"),
        ("plan.stages.emotiw.data.selection.emotiw=Val", "data.selection of stage 'emotiw' to be lists of splits"),
        ("recipe.epochs=many", "epochs"),
        ("recipe.epochs=0", "at least 1"),
        ("recipe.keep=middle", "last.*best"),
        ("recipe.labelling.labels=votes", "ferplus_soft"),
        ("plan.stages.emotiw.init_from=fer2", "starts from 'fer2'"),
        ("plan.stages.fer.init_from=emotiw", "cycle"),
        ("plan.stages.emotiw.init_from=null", "end in one stage"),
        ("recipe.augment._target_=fer_transfer.data.augment.Nothing", "importable"),
        ("++stages.emotiv.epochs=1", "emotiv"),
        ("recipe.seed=-1", "seed"),
        ("recipe.label_smoothing=2", "0 to 1"),
        ("recipe.batch_size=1", "at least 2"),
        ("recipe.gradient_clip=-1", "above 0"),
    ],
)
def test_wrong_plans_name_what_is_wrong(override, message):
    with pytest.raises(ConfigError, match=message):
        for stage in plan_from(compose("train", ["plan=fer28_emotiw", override])).stages:
            check_targets(stage.recipe, stage.name)  # as jobs_of does, after what needs no torch


def test_a_stage_that_is_no_plan_is_ignored_by_plans_without_it():
    assert [s.recipe.epochs for s in plan_from(compose("train", ["plan=fer28", "+stages.emotiw.epochs=2"])).stages] == [
        30
    ]


def test_missing_value_is_named():
    with pytest.raises(ConfigError, match=r"recipe\.backbone\.name"):
        plan_from(compose("train", ["backbone=timm"]))


def test_empty_plan():
    config = compose("train", ["plan=emotiw"])
    OmegaConf.set_struct(config, False)
    config.plan.stages = {}
    with pytest.raises(ConfigError, match="at least one stage"):
        plan_from(config)
