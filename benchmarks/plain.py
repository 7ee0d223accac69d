"""What a user writes today: the side A of ``throughput.py``, with every library at its defaults.

Prints training faces a second after three steps, so that starting the workers does not count.
"""

import fer_transfer  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

# isort: split
import argparse
import tempfile
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import timm
import torch
import torchmetrics
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

WARM_UP = 3


class Pictures(Dataset[Any]):
    """As torchvision's ImageFolder, with the reading of files left out."""

    def __init__(self, count: int, transform: Any) -> None:
        random = np.random.default_rng(0)
        self.pixels = random.integers(0, 256, (count, 48, 48), dtype=np.uint8)
        self.labels = random.integers(0, 7, count)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture = Image.fromarray(self.pixels[index]).convert("RGB")
        return self.transform(picture), int(self.labels[index])


class Classifier(pl.LightningModule):
    """As in Lightning's introduction."""

    def __init__(self, network: str) -> None:
        super().__init__()
        self.network = timm.create_model(network, num_classes=7)
        self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=7)
        self.ends: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Loss and accuracy, logged."""
        pictures, labels = batch
        logits = self.network(pictures)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        self.accuracy(logits, labels)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_accuracy", self.accuracy, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the time; the only line that a user would not have."""
        self.ends.append(time.perf_counter())

    def configure_optimizers(self) -> Any:
        """The paper's."""
        return torch.optim.SGD(self.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--network", default="resnet18")
    options = parser.parse_args()
    transform = transforms.Compose(
        [
            transforms.Resize(round(options.size * 256 / 224)),
            transforms.RandomCrop(options.size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    pictures = Pictures((options.steps + WARM_UP) * options.batch, transform)
    loader = DataLoader(pictures, batch_size=options.batch, shuffle=True, num_workers=2)
    model = Classifier(options.network)
    with tempfile.TemporaryDirectory() as folder:
        pl.Trainer(max_epochs=1, default_root_dir=folder).fit(model, loader)
    print(f"\n{options.steps * options.batch / (model.ends[-1] - model.ends[WARM_UP - 1])}")


if __name__ == "__main__":
    main()
