"""Composing the rows of a multirun: as Hydra composes each, in less time."""

from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from fer_transfer.config import conf_dir, plain
from fer_transfer.settings import compose
from fer_transfer.sweeps.rows import rows_of

_AXES = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(["emotiw", "fer28_emotiw"]),
        "backbone": st.sampled_from(["mobilenetv2_100", "resnet18"]),
        "recipe.seed": st.integers(0, 9),
        "recipe.optimizer.lr": st.sampled_from(["1e-4", "0.5", "null"]),
        "++stages.emotiw.optimizer.lr": st.sampled_from(["0.1", "1"]),
        "++stages.emotiw.epochs": st.integers(1, 3),
        "+recipe.backbone.kwargs.drop_rate": st.sampled_from(["0.1", "0.2"]),
        "recipe.frozen": st.sampled_from(["[]", "['a.*']"]),
        "note": st.sampled_from(["one", "'with = and , in it'", "null", "${plan.name}"]),
        "runtime.store": st.sampled_from(["store", "'a store'"]),
        "~recipe.labelling.drop_leaked": st.just("false"),
    },
)


def composed(given_rows):
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    calls = []

    def by_hydra(overrides):
        calls.append(overrides)
        return compose("train", overrides)

    parser = OverridesParser.create(ConfigLoaderImpl(create_config_search_path(str(conf_dir()))))
    return list(rows_of(given_rows, by_hydra, parser)), calls


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_AXES, min_size=1, max_size=4))
def test_every_row_is_what_hydra_composes(axes):
    given_rows = [[f"{key}={value}" for key, value in of.items()] for of in axes]
    rows, _ = composed(given_rows)
    for row, overrides in zip(rows, given_rows, strict=True):
        whole = compose("train", overrides)
        expected = plain(OmegaConf.masked_copy(whole, [key for key in whole if key != "logger"]))
        assert row.settings == expected


def test_rows_that_differ_in_values_alone_are_composed_once():
    given_rows = [[f"plan={plan}", f"recipe.seed={seed}"] for plan in ("emotiw", "fer28") for seed in range(20)]
    rows, calls = composed(given_rows)
    assert len(calls) == 2
    assert [row.settings["recipe"]["seed"] for row in rows] == [*range(20), *range(20)]
