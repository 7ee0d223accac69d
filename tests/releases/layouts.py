"""Writers of fake releases in the true layouts of published data sets: noise for pictures, names and lists as their owners'."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from releases.pictures import write_picture

from fer_transfer.releases import ckplus, expw, jaffe, rafdb


def write_rafdb(root: Path, counts: Mapping[str, int], originals: bool = False) -> Path:
    """So many pictures of each class in each split, numbered as RAF-DB's: train_00001, test_0001."""
    lines = []
    for split, digits in (("train", 5), ("test", 4)):
        labels = [number for number, name in rafdb.CLASSES.items() for _ in range(counts.get(name, 0))]
        for i, label in enumerate(labels, start=1):
            stem = f"{split}_{i:0{digits}}"
            lines.append(f"{stem}.jpg {label}")
            write_picture(root / f"basic/Image/aligned/{stem}_aligned.jpg", 100)
            if originals:
                write_picture(root / f"basic/Image/original/{stem}.jpg", (40, 60))
    path = root / "basic/EmoLabel/list_patition_label.txt"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join([*lines, ""]))
    return root


def write_ckplus(root: Path, sequences: Mapping[str, int], people: int, frames: int = 5) -> Path:
    """Sequences of each class, one after the other to each person, and an unlabelled one of each; ASCII labels as CK+'s."""
    names = [name for name, count in sequences.items() for _ in range(count)]
    for i, name in enumerate(names):
        person, number = f"S{i % people + 5:03}", f"{i // people + 1:03}"
        _write_sequence(root, person, number, frames)
        label = next(key for key, value in ckplus.CLASSES.items() if value == name)
        path = root / f"Emotion/{person}/{number}/{person}_{number}_{frames:08}_emotion.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"   {label:.7e}\n")
    for i in range(people):
        _write_sequence(root, f"S{i + 5:03}", "099", 2)
    return root


def _write_sequence(root: Path, person: str, number: str, frames: int) -> None:
    for frame in range(1, frames + 1):
        write_picture(root / f"cohn-kanade-images/{person}/{number}/{person}_{number}_{frame:08}.png")


def write_jaffe(root: Path, people: int, each: int) -> Path:
    """So many pictures of each expression and person, numbered through."""
    number = 0
    for i in range(people):
        for letters in jaffe.CLASSES:
            for k in range(each):
                number += 1
                write_picture(root / f"jaffe/K{chr(65 + i)}.{letters}{k + 1}.{number}.tiff")
    return root


def write_affectnet(root: Path, each: int, form: str, classes: int = 8) -> Path:
    """So many pictures of each class and split, with annotations as numbers or text, or in folders of class numbers."""
    for split in ("train", "val"):
        for i in range(each * classes):
            label = i % classes
            if form == "folders":
                write_picture(root / f"{split}/{label}/{i}.jpg")
                continue
            write_picture(root / f"{split}_set/images/{i}.jpg")
            path = root / f"{split}_set/annotations/{i}_exp.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.array(str(label) if form == "text" else label))
            np.save(path.with_name(f"{i}_val.npy"), np.array("0.1"))
    return root


def write_expw(root: Path, counts: Mapping[str, int]) -> Path:
    """Photographs 40x60 with two faces each, whose boxes stand in label.lst as ExpW's: top, left, right, bottom."""
    labels = [number for number, name in enumerate(expw.CLASSES) for _ in range(counts.get(name, 0))]
    lines = []
    for i, label in enumerate(labels):
        name, left = f"word_girl_{i // 2}.jpg", 30 * (i % 2)
        lines.append(f"{name} {i % 2} 5 {left} {left + 20} 25 60.5 {label}")
        write_picture(root / "origin" / name, (40, 60))
    (root / "label.lst").write_text("\n".join([*lines, ""]))
    return root
