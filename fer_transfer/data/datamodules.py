"""DataModules over prepared faces: FER-2013 (FER28, FER32), EmotiW, and any union, all by configuration.

A batch is made by indexing memory-mapped arrays once per release, ahead of its step, and stays uint8 until it is on the
device; there is no per-image Python. The order of training faces is a function of (seed, epoch), so that a resumed run sees
what an uninterrupted one would have seen. Where several processes train one stage, every one of them goes through the same
batches in the same order and makes its own faces of each.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fer_transfer.data.ahead import AheadLoader
from fer_transfer.data.labelling import LABELS, Labelling
from fer_transfer.data.targets import check_votes, select_rows, targets_of
from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.faces.faces import Faces


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
        pixels: uint8 [n_i, H_i, W_i] for each release in the batch.
        target: int64 [sum n_i] expressions, or float32 [sum n_i, 7] for soft labels, in the order of ``pixels``.
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


class FaceDataset(Dataset[FaceBatch]):
    """Rows of one or several prepared releases, indexed by whole batches.

    Args:
        parts: (faces, rows int64 [n], targets int64 [n] or float32 [n, 7]) of each release.
        share: of each batch that is made.
    """

    def __init__(self, parts: Sequence[tuple[Faces, NDArray[np.int64], Tensor]], share: Share = ALONE) -> None:
        self.parts, self.share = parts, share
        self._starts = np.cumsum([0, *(len(rows) for _, rows, _ in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def targets(self) -> Tensor:
        """All targets, int64 [N] or float32 [N, 7]."""
        return torch.cat([targets for _, _, targets in self.parts])

    def __getitem__(self, index: int) -> FaceBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> FaceBatch:
        wanted = np.asarray(indices)
        pixels, targets = [], []
        taken: list[tuple[int, slice]] = []
        for start, (faces, rows, of_part) in zip(self._starts, self.parts, strict=False):
            local = wanted[(wanted >= start) & (wanted < start + len(rows))] - start
            if len(local):
                own = self.share.own(sum(count for count, _ in taken))
                taken.append((len(local), own))
                pixels.append(torch.from_numpy(faces.pixels[rows[local[own]]]))
                targets.append(of_part[local])
        target = torch.cat(targets)
        if self.share.processes == 1:
            return FaceBatch(tuple(pixels), target)
        whole = Whole(target, tuple(taken), self.share.processes)
        return FaceBatch(tuple(pixels), target[self.share.own(0)], whole)


class EpochSampler(Sampler[int]):
    """A permutation that depends on the seed and the epoch alone.

    Attributes:
        skip: faces that the next epoch begins behind, for they were seen before an interruption.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch, self.skip = count, seed, 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        seen, self.skip = self.skip, 0
        return iter(order[seen:].tolist())


class FacesDataModule(pl.LightningDataModule):
    """Feeds a stage from one release or from several at once.

    The paper's sets: FER28 trains on FER-2013 Training and selects on PublicTest; FER32 trains on both and selects on
    PrivateTest; FER32+EmotiW adds EmotiW Train and selects on EmotiW Val only (``conf/data``).

    Args:
        train: splits to train on, by release name.
        selection: splits that are watched while training (and select the epoch if the recipe says so).
        labelling: what the faces are taken to show and which are left out.
        faces: prepared faces by release name; given by the runner.
        batch_size: faces a batch; given by the runner.
        seed: of the order; given by the runner.

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
    ) -> None:
        super().__init__()
        self.batch_size, self.seed = batch_size, seed
        missing = sorted({*train, *selection} - set(faces))
        if missing:
            raise ConfigError(f"Expected prepared faces for {missing}, but runtime.faces has {sorted(faces)}.")
        check_votes([faces[name] for name in train], labelling)
        self.train_set = self._collect(train, faces, labelling, training=True)
        self.selection_set = self._collect(selection, faces, labelling, training=False)
        self._sampler = EpochSampler(len(self.train_set), seed)
        # Reports score the release's labels; a selection by others is another number and must be called so.
        with_votes = any(faces[name].votes is not None for name in selection)
        self.selected_by = LABELS[labelling.labels] if with_votes else ""

    @staticmethod
    def _collect(
        splits: Mapping[str, Sequence[str]], faces: Mapping[str, Faces], labelling: Labelling, training: bool
    ) -> FaceDataset:
        parts = []
        for name, of_release in splits.items():
            rows = select_rows(faces[name], of_release, labelling, training)
            parts.append((faces[name], rows, targets_of(faces[name], rows, labelling.labels)))
        if not sum(len(rows) for _, rows, _ in parts):
            raise FacesError(f"Expected labelled faces in {dict(splits)}, but none are left with {labelling}.")
        return FaceDataset(parts)

    def _loader(self, dataset: FaceDataset, **options: Any) -> DataLoader[FaceBatch]:
        share = Share(self.trainer.global_rank, self.trainer.world_size) if self.trainer else ALONE
        return AheadLoader(
            FaceDataset(dataset.parts, share),
            batch_size=self.batch_size,
            collate_fn=_as_it_is,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            **options,
        )

    def train_dataloader(self) -> DataLoader[FaceBatch]:
        """Shuffled; the last incomplete batch is dropped (a batch of one breaks batch normalisation)."""
        return self._loader(self.train_set, sampler=self._sampler, drop_last=len(self.train_set) > self.batch_size)

    def skip_once(self, batches: int) -> None:
        """Let the next epoch begin behind so many batches, which an interrupted one has done."""
        self._sampler.skip = batches * self.batch_size

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """The selection splits, in order."""
        return self._loader(self.selection_set)


def _as_it_is(batch: Any) -> Any:
    return batch  # made whole by FaceDataset.__getitems__
