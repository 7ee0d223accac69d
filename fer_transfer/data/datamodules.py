"""DataModules over prepared faces: FER-2013 (FER28, FER32), EmotiW, and any union, all by configuration.

A batch is made by indexing memory-mapped arrays once per release, ahead of its step, and stays uint8 until it is on the
device; there is no per-image Python. The order of training faces is a function of (seed, epoch), so that a resumed run sees
what an uninterrupted one would have seen. Where several processes train one stage, every one of them goes through the same
batches in the same order and makes its own faces of each.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, WeightedRandomSampler

from fer_transfer.data.ahead import AheadLoader
from fer_transfer.data.labelling import LABELS, Labelling
from fer_transfer.data.targets import (
    balanced_chances,
    check_votes,
    none_left,
    select_rows,
    targets_of,
    with_geometry,
    without_held_out,
)
from fer_transfer.errors import ConfigError
from fer_transfer.faces.faces import Faces
from fer_transfer.files.readahead import will_need


class Share(NamedTuple):
    """Which faces of every batch a process computes: every ``processes``-th, beginning with number ``rank``."""

    rank: int = 0
    processes: int = 1

    def own(self, start: int) -> slice:
        """The process's faces among those that stand in the batch from number ``start`` on.

        >>> [list("abcde"[Share(1, 2).own(start)]) for start in (0, 3)]
        [['b', 'd'], ['a', 'c', 'e']]
        """
        return slice((self.rank - start) % self.processes, None, self.processes)


ALONE = Share()

#: Batches before the one in which they come, faces are asked for of the disk: enough for one that takes its time.
_LEAD = 8


class Whole(NamedTuple):
    """The batch that several processes share.

    Attributes:
        target: of all its faces.
        own: for each release, how many faces the batch has, and which of them are the process's own.
        processes: that share it.
    """

    target: Tensor
    own: tuple[tuple[int, slice], ...]
    processes: int


class FaceBatch(NamedTuple):
    """One batch, or a process's share of it.

    Attributes:
        pixels: uint8 [n_i, H_i, W_i], or RGB [n_i, H_i, W_i, 3], for each release in the batch; of a network that sees geometry
            float32 [n_i, 1502] (``Faces.seen``).
        target: int64 [sum n_i] classes, or float32 [sum n_i, C] for soft labels, in the order of ``pixels``.
        whole: the batch that these faces are a share of, or None: they are all.
    """

    pixels: tuple[Tensor, ...]
    target: Tensor
    whole: Whole | None = None

    @property
    def faces(self) -> int:
        """Of the whole batch."""
        return len(self.target if self.whole is None else self.whole.target)

    @property
    def processes(self) -> int:
        """That share the batch."""
        return 1 if self.whole is None else self.whole.processes


#: Faces of one release, rows int64 [n] of them, and targets int64 [n] or float32 [n, C].
Part = tuple[Faces, NDArray[np.int64], Tensor]


class FaceDataset(Dataset[FaceBatch]):
    """Rows of one or several prepared releases, indexed by whole batches.

    Args:
        parts: of each release.
        share: of each batch that is made.
        sees: what batches are made of, in the words of ``Faces.seen``.
    """

    def __init__(self, parts: Sequence[Part], share: Share = ALONE, sees: str = "pixels") -> None:
        self.parts, self.share, self.sees = parts, share, sees
        self._seen = [faces.seen(sees) for faces, *_ in parts]
        self._starts = np.cumsum([0, *(len(rows) for _, rows, _ in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def targets(self) -> Tensor:
        """All targets, int64 [N] or float32 [N, C]."""
        return torch.cat([targets for _, _, targets in self.parts])

    def __getitem__(self, index: int) -> FaceBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> FaceBatch:
        pixels, targets = [], []
        taken: list[tuple[int, slice]] = []
        for seen, (_, rows, of_part), local, own in self._by_part(np.asarray(indices)):
            taken.append((len(local), own))
            pixels.append(torch.from_numpy(seen[rows[local[own]]]))
            targets.append(of_part[local])
        target = torch.cat(targets)
        if self.share.processes == 1:
            return FaceBatch(tuple(pixels), target)
        whole = Whole(target, tuple(taken), self.share.processes)
        return FaceBatch(tuple(pixels), target[self.share.own(0)], whole)

    def will_need(self, indices: NDArray[np.int64]) -> None:
        """Have what is seen in a batch to come read from the disk meanwhile."""
        for seen, (_, rows, _), local, own in self._by_part(indices):
            will_need(seen, rows[local[own]])

    def _by_part(self, wanted: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], Part, NDArray[np.int64], slice]]:
        """Of each release in a batch: what is seen, its part, which faces are wanted, and which of these the process takes."""
        before = 0
        for start, seen, part in zip(self._starts, self._seen, self.parts, strict=False):
            local = wanted[(wanted >= start) & (wanted < start + len(part[1]))] - start
            if len(local):
                yield seen, part, local, self.share.own(before)
                before += len(local)


class EpochSampler(Sampler[int]):
    """An order that depends on the seed and the epoch alone: a permutation, or as many faces drawn by their chances.

    Args:
        count: of the faces.
        seed: of the order.
        chances: float64 [count] in proportion to which faces are drawn, with replacement; None: each face once.

    Attributes:
        skip: faces that the next epoch begins behind, for they were seen before an interruption.
        batch_size, will_need: faces that are told at a time to whoever gets them ready, some batches before they come.
    """

    batch_size = 128
    will_need: Callable[[NDArray[np.int64]], object] = staticmethod(lambda indices: None)

    def __init__(self, count: int, seed: int, chances: Tensor | None = None) -> None:
        self.count, self.seed, self.chances, self.epoch, self.skip = count, seed, chances, 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(self.count) if self.chances is None else self._drawn(random)
        seen, self.skip = self.skip, 0
        return self._announced(order[seen:])

    def _announced(self, order: NDArray[np.int64]) -> Iterator[int]:
        """In this order; what comes ``_LEAD`` batches later is told before."""
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        for batch in batches[:_LEAD]:
            self.will_need(batch)
        for number, batch in enumerate(batches):
            for later in batches[number + _LEAD : number + _LEAD + 1]:
                self.will_need(later)
            yield from batch.tolist()

    def _drawn(self, random: np.random.Generator) -> NDArray[np.int64]:
        assert self.chances is not None
        sampler = WeightedRandomSampler(self.chances, self.count, generator=torch.Generator())  # type: ignore[arg-type]
        sampler.generator.manual_seed(int(random.integers(2**63)))
        return np.fromiter(sampler, np.int64, self.count)


class FacesDataModule(pl.LightningDataModule):
    """Feeds a stage from one release or from several at once.

    The paper's sets: FER28 trains on FER-2013 Training and selects on PublicTest; FER32 trains on both and selects on
    PrivateTest; FER32+EmotiW adds EmotiW Train and selects on EmotiW Val only (``conf/data``).

    Args:
        train: splits to train on, by release name.
        selection: splits that are watched while training (and select the epoch if the recipe says so); of shares that are
            held out of what is trained on (``faces.held_out``), neither a face nor a subject of theirs is trained on.
        labelling: what the faces are taken to show and which are left out.
        faces: prepared faces by release name; given by the runner.
        batch_size: faces a batch; given by the runner.
        seed: of the order; given by the runner.
        sampling: ``all`` or ``balanced`` (``training.imbalance``); given by the runner.
        sees: what batches are made of (``Faces.seen``); given by the runner. Faces of which no geometry is known are not trained
            on where that is seen.

    Attributes:
        selected_by: whose labels the selection splits are scored with, where they are not the release's own.

    Raises:
        ConfigError: if a release is not given.
        FacesError: if a split is unknown or nothing is left to train on.
    """

    def __init__(
        self,
        train: Mapping[str, Sequence[str]],
        selection: Mapping[str, Sequence[str]],
        labelling: Labelling,
        faces: Mapping[str, Faces],
        batch_size: int,
        seed: int,
        sampling: str = "all",
        sees: str = "pixels",
    ) -> None:
        super().__init__()
        self.batch_size, self.seed, self.sees = batch_size, seed, sees
        missing = sorted({*train, *selection} - set(faces))
        if missing:
            raise ConfigError(f"Expected prepared faces for {missing}, but runtime.faces has {sorted(faces)}.")
        check_votes([faces[name] for name in train], labelling)
        self.selection_set = self._collect(selection, faces, labelling, training=False)
        self.train_set = self._collect(train, faces, labelling, training=True, held_out=selection)
        chances = balanced_chances(self.train_set.targets) if sampling == "balanced" else None
        self._sampler = EpochSampler(len(self.train_set), seed, chances)
        # Reports score the release's labels; a selection by others is another number and must be called so.
        with_votes = any(faces[name].votes is not None for name in selection)
        self.selected_by = LABELS[labelling.labels] if with_votes else ""

    def _collect(
        self,
        splits: Mapping[str, Sequence[str]],
        faces: Mapping[str, Faces],
        labelling: Labelling,
        training: bool,
        held_out: Mapping[str, Sequence[str]] = {},
    ) -> FaceDataset:
        parts = []
        for name, of_release in splits.items():
            rows = select_rows(faces[name], of_release, labelling, training)
            rows = without_held_out(faces[name], rows, held_out.get(name, ()))
            rows = with_geometry(faces[name], rows) if training and self.sees == "geometry" else rows
            parts.append((faces[name], rows, targets_of(faces[name], rows, labelling.labels)))
        if not sum(len(rows) for _, rows, _ in parts):
            raise none_left(splits, faces, labelling)
        return FaceDataset(parts, sees=self.sees)

    def _shared(self, dataset: FaceDataset) -> FaceDataset:
        """The same faces, of every batch those that this process computes."""
        share = Share(self.trainer.global_rank, self.trainer.world_size) if self.trainer else ALONE
        return FaceDataset(dataset.parts, share, self.sees)

    def _loader(self, dataset: FaceDataset, **options: Any) -> DataLoader[FaceBatch]:
        return AheadLoader(
            dataset,
            batch_size=self.batch_size,
            collate_fn=_as_it_is,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            **options,
        )

    def train_dataloader(self) -> DataLoader[FaceBatch]:
        """Shuffled; the last incomplete batch is dropped (a batch of one breaks batch normalisation)."""
        dataset = self._shared(self.train_set)
        self._sampler.batch_size, self._sampler.will_need = self.batch_size, dataset.will_need
        return self._loader(dataset, sampler=self._sampler, drop_last=len(self.train_set) > self.batch_size)

    def skip_once(self, batches: int) -> None:
        """Let the next epoch begin behind so many batches, which an interrupted one has done."""
        self._sampler.skip = batches * self.batch_size

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """The selection splits, in order."""
        return self._loader(self._shared(self.selection_set))


def _as_it_is(batch: Any) -> Any:
    return batch  # made whole by FaceDataset.__getitems__
