"""The data sets of the paper as the committed configurations make them, on tiny faces."""

import numpy as np
import pytest
import torch

from fer_transfer.config import build
from fer_transfer.data import datamodules
from fer_transfer.data.datamodules import EpochSampler, FaceDataset, Share
from fer_transfer.data.labelling import Labelling
from fer_transfer.data.targets import none_left
from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from


@pytest.fixture
def releases(faces_folder):
    return {name: open_faces(faces_folder / name) for name in ("fer2013", "emotiw")}


def module_of(releases, *overrides, stage=-1):
    recipe = plan_from(compose("train", ["recipe.batch_size=32", *overrides])).stages[stage].recipe
    given = {"labelling": recipe.labelling, "faces": releases, "batch_size": recipe.batch_size, "seed": recipe.seed}
    return build("data", recipe.data, **given)


def rows_of(faces, splits, found_only):
    """Written out one face at a time."""
    rows = range(len(faces))
    return [
        i for i in rows if faces.splits[i] in splits and faces.labels[i] >= 0 and (faces.found[i] or not found_only)
    ]


PAPER = {
    "fer28": ({"fer2013": ["Training"]}, {"fer2013": ["PublicTest"]}),
    "fer32": ({"fer2013": ["Training", "PublicTest"]}, {"fer2013": ["PrivateTest"]}),
    "emotiw": ({"emotiw": ["Train"]}, {"emotiw": ["Val"]}),
    "fer32+emotiw": ({"fer2013": ["Training", "PublicTest"], "emotiw": ["Train"]}, {"emotiw": ["Val"]}),
}


@pytest.mark.parametrize("plan", PAPER)
def test_rows_are_the_papers(plan, releases):
    module = module_of(releases, f"plan={plan}")
    for dataset, splits, found_only in zip(
        (module.train_set, module.selection_set), PAPER[plan], (True, False), strict=True
    ):
        assert [faces.name for faces, _, _ in dataset.parts] == list(splits)
        for faces, rows, targets in dataset.parts:
            assert rows.tolist() == rows_of(faces, splits[faces.name], found_only)
            assert targets.tolist() == faces.labels[rows].tolist()


def test_lost_faces_are_left_out_of_training_and_kept_in_selection(releases):
    emotiw = releases["emotiw"]
    lost = {split: int((~emotiw.found & (emotiw.splits == split)).sum()) for split in ("Train", "Val")}
    assert all(lost.values())
    module = module_of(releases, "plan=emotiw")
    assert len(module.train_set) == 64 - lost["Train"] and len(module.selection_set) == 40
    assert len(module_of(releases, "plan=emotiw", "recipe.labelling.train_on_lost=true").train_set) == 64


def labels_by_pixels(releases):
    return {f.pixels[i].tobytes(): int(f.labels[i]) for f in releases.values() for i in range(len(f))}


@pytest.mark.parametrize("loader", ["train_dataloader", "val_dataloader"])
@pytest.mark.parametrize("plan", ["fer32+emotiw", "emotiw"])
def test_targets_are_in_the_order_of_the_pixels(plan, loader, releases):
    expected = labels_by_pixels(releases)
    for batch in getattr(module_of(releases, f"plan={plan}"), loader)():
        pictures = [picture.numpy().tobytes() for group in batch.pixels for picture in group]
        assert [expected[picture] for picture in pictures] == batch.target.tolist()
        assert batch.target.dtype == torch.int64 and all(group.dtype == torch.uint8 for group in batch.pixels)


def test_a_batch_mixes_releases(releases):
    batch = next(iter(module_of(releases, "plan=fer32+emotiw").train_dataloader()))
    assert [tuple(group.shape[1:]) for group in batch.pixels] == [(48, 48), (64, 64)]


def seen(module, epoch):
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [[p.numpy().tobytes() for group in batch.pixels for p in group] for batch in loader]


@pytest.mark.parametrize(("plan", "batch_size"), [("fer32+emotiw", 32), ("emotiw", 7), ("emotiw", 1000)])
def test_every_training_face_once_an_epoch(plan, batch_size, releases):
    module = module_of(releases, f"plan={plan}", f"recipe.batch_size={batch_size}")
    batches = seen(module, 0)
    pictures = [picture for batch in batches for picture in batch]
    count = len(module.train_set)
    assert len(set(pictures)) == len(pictures) == (count - count % batch_size if count > batch_size else count)
    assert set(pictures) <= {f.pixels[i].tobytes() for f, rows, _ in module.train_set.parts for i in rows}


def test_order_is_a_function_of_seed_and_epoch(releases):
    first, again = module_of(releases, "plan=fer28"), module_of(releases, "plan=fer28")
    seen(first, 0)  # what came before must not matter
    assert seen(first, 3) == seen(again, 3)
    assert seen(again, 3) != seen(again, 4)
    assert seen(again, 3) != seen(module_of(releases, "plan=fer28", "recipe.seed=1"), 3)


def test_sampler_is_a_permutation():
    sampler = EpochSampler(50, 0)
    assert sorted(sampler) == list(range(50)) and len(sampler) == 50 and list(sampler) != list(range(50))


def test_selection_is_in_the_order_of_the_release(releases):
    batches = list(module_of(releases, "plan=emotiw", "recipe.batch_size=7").val_dataloader())
    shown = np.concatenate([batch.pixels[0].numpy() for batch in batches])
    assert np.array_equal(shown, releases["emotiw"].pixels[releases["emotiw"].rows(["Val"])])


def test_one_face_alone_is_a_batch(releases):
    dataset = module_of(releases, "plan=emotiw").train_set
    assert dataset[5].pixels[0].shape == (1, 64, 64) and dataset[5].target.tolist() == [int(dataset.targets[5])]


@pytest.mark.parametrize("processes", [2, 3, 50])
@pytest.mark.parametrize("labels", ["release", "ferplus_soft"])
def test_shares_of_a_batch_are_all_of_it_once(releases, processes, labels):
    """Of two releases, in batches that no number of processes divides; of fifty, some have nothing."""
    dataset = module_of(releases, "plan=fer32+emotiw").train_set
    if labels == "ferplus_soft":
        dataset = FaceDataset([(f, rows, torch.eye(7)[target]) for f, rows, target in dataset.parts])
    indices = EpochSampler(len(dataset), 0)
    wanted = list(indices)[:41]
    whole = dataset.__getitems__(wanted)
    shares = [FaceDataset(dataset.parts, Share(rank, processes)).__getitems__(wanted) for rank in range(processes)]
    assert {len(share.target) for share in shares} == {41 // processes, 41 // processes + 1}
    for group, pixels in enumerate(whole.pixels):
        joined = torch.empty_like(pixels)
        for share in shares:
            count, own = share.whole.own[group]
            assert count == len(pixels)
            joined[own] = share.pixels[group]
        assert torch.equal(joined, pixels)
    for share in shares:
        own = [
            torch.arange(n)[which] + start
            for (n, which), start in zip(share.whole.own, (0, len(whole.pixels[0])), strict=True)
        ]
        assert torch.equal(share.target, whole.target[torch.cat(own)]) and torch.equal(share.whole.target, whole.target)
        assert (share.faces, share.processes) == (41, processes)


def test_soft_labels_beside_a_release_without_votes(releases, tmp_path):
    with FacesWriter(tmp_path / "voted", "fer2013", (4, 4), 3) as writer:
        for i, split in enumerate(("Training", "PublicTest", "PrivateTest")):
            votes = np.array([5, 0, 0, 5, 0, 0, 0, 0, 0, 0], np.uint8)
            writer.add(np.full((4, 4), i, np.uint8), str(i), split, i, votes=votes)
    both = {"fer2013": open_faces(tmp_path / "voted"), "emotiw": releases["emotiw"]}
    module = module_of(both, "plan=fer32+emotiw", "recipe.labelling.labels=ferplus_soft")
    targets = module.train_set.targets
    assert targets.shape == (len(module.train_set), 7) and targets.dtype == torch.float32
    assert targets[0].tolist() == [0, 0, 0, 0, 0.5, 0, 0.5] and (targets.sum(dim=1) == 1).all()


def test_unknown_split_unknown_release_and_nothing_to_train_on(releases):
    with pytest.raises(FacesError, match=r"'Validation'.*Test, Train, Val"):
        module_of(releases, "plan=emotiw", "plan.stages.emotiw.data.train.emotiw=[Validation]")
    with pytest.raises(FacesError, match=r"in emotiw Test, but of 20 .*20 have no label. Choose"):  # withheld
        module_of(releases, "plan=emotiw", "plan.stages.emotiw.data.train.emotiw=[Test]")
    with pytest.raises(FacesError, match="labelled faces in some split"):
        module_of(releases, "plan=emotiw", "plan.stages.emotiw.data.selection.emotiw=[]")
    with pytest.raises(FacesError, match=r"labels='ferplus_majority'.*recipe\.labelling"):
        raise none_left({"emotiw": ["Train"]}, releases, Labelling("ferplus_majority", train_on_lost=True))
    with pytest.raises(ConfigError, match=r"\['sfew'\].*\['emotiw', 'fer2013'\]"):
        module_of(releases, "plan=emotiw", "+plan.stages.emotiw.data.train.sfew=[Train]")


def test_faces_that_are_all_lost_are_told_with_what_to_do(tmp_path):
    with FacesWriter(tmp_path / "emotiw", "emotiw", (8, 8), 4) as writer:
        for number in range(4):
            writer.add(
                np.full((8, 8), number, np.uint8), str(number), "Val" if number == 3 else "Train", 1, number == 3
            )
    releases = {"emotiw": open_faces(tmp_path / "emotiw")}
    with pytest.raises(
        FacesError, match=r"in emotiw Train, but of 3 .*3 are lost, 0 have.*sheet.jpg of .*emotiw; prepare"
    ):
        module_of(releases, "plan=emotiw")


@pytest.mark.parametrize("skip", [0, 2])
def test_every_batch_is_asked_for_before_it_is_made_and_no_other(releases, skip, monkeypatch):
    monkeypatch.setattr(datamodules, "_LEAD", 2)
    told = []
    monkeypatch.setattr(
        datamodules, "will_need", lambda pixels, rows: told.append((pixels.shape[1], set(rows.tolist())))
    )
    made = []
    original = FaceDataset.__getitems__

    def noted(self, indices):
        made.append(({(part[0].pixels.shape[1], row) for _, part, local, own in self._by_part(np.asarray(indices))
                      for row in part[1][local[own]].tolist()}, len(told)))  # fmt: skip
        return original(self, indices)

    monkeypatch.setattr(FaceDataset, "__getitems__", noted)
    module = module_of(releases, "plan=fer32+emotiw", "recipe.batch_size=16")
    module.skip_once(skip)
    list(module.train_dataloader())
    wanted = {face for faces, _ in made for face in faces}
    asked = [{(side, row) for row in rows} for side, rows in told]
    assert len(made) == len(module.train_set) // 16 - skip and wanted <= set().union(*asked)
    for faces, before in made:
        assert faces <= set().union(*asked[:before]), "asked for before"
    assert len(set().union(*asked) - wanted) < 16, "but for what the last batch drops"
