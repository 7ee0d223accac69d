"""RAF-DB, the subset of basic expressions.

========  ==============================================================================================================
What      Faces of web photographs of thousands of people, each labelled by about 40; here the 15339 with one of seven basic
          expressions, aligned to 100x100 colour by their owners, or the photographs they were cut from
Made by   Shan Li, Weihong Deng, JunPing Du (Beijing University of Posts and Telecommunications)
Licence   Non-commercial research, against an agreement; may not be passed on, so no picture stands in a report
To get    whdeng.cn/RAF/model1.html, by e-mail from a university's address; not downloaded here
Size      Train 12271, Test 3068
Classes   Numbers 1 to 7 in the list: Surprise 1290/329, Fear 281/74, Disgust 717/160, Happiness 4772/1185, Sadness 1982/478,
          Anger 705/162, Neutral 2524/680 (Train/Test)
Splits    The owners', told by names: ``train_00001.jpg``, ``test_0001.jpg``. None to select on: hold out a share of Train
Forms     A folder or archive with ``EmoLabel/list_patition_label.txt`` (so spelt; lines such as ``train_00001.jpg 5``) and
          ``Image/aligned/train_00001_aligned.jpg``, or ``Image/original/train_00001.jpg`` for ``release.aligned=false``
Faults    Whose face a picture shows is not told, so nobody knows whether people stand in both splits
Sources   Li, Deng and Du 2017, CVPR, and whdeng.cn/RAF/model1.html (making). Layout, sizes and counts by class: as public
          repositories read and print them, which agree; github.com/zyh-uaiaaaa/Erasing-Attention-Consistency holds the list. Not
          looked up in a text: the agreement's terms
========  ==============================================================================================================
"""

from typing import ClassVar

from fer_transfer.files.archive import Archive
from fer_transfer.releases.list_file import find, read_words, refuse_absent, refuse_wrong
from fer_transfer.releases.listed import ListedRelease, Stated
from fer_transfer.releases.listing import Listed

#: By the number in the list.
CLASSES = {"1": "Surprise", "2": "Fear", "3": "Disgust", "4": "Happiness", "5": "Sadness", "6": "Anger", "7": "Neutral"}

_LIST = "EmoLabel/list_patition_label.txt"
_SPLITS = {"train": "Train", "test": "Test"}


class RAFDBRelease(ListedRelease):
    """RAF-DB on disk, for ``fer-prepare``; options as ``ListedRelease``."""

    title = "RAF-DB"
    stated: ClassVar[Stated] = {
        "Train": dict(zip(CLASSES.values(), (1290, 281, 717, 4772, 1982, 705, 2524), strict=True)),
        "Test": dict(zip(CLASSES.values(), (329, 74, 160, 1185, 478, 162, 680), strict=True)),
    }

    def _listed(self, archive: Archive) -> list[Listed]:
        path, root = find(archive, _LIST)
        lines = read_words(archive, path, 2)
        wrong = [" ".join(line) for line in lines if line[1] not in CLASSES or line[0].partition("_")[0] not in _SPLITS]
        refuse_wrong(archive, path, wrong, "train_NUMBER.jpg or test_NUMBER.jpg and a label of 1 to 7")
        listed = [
            Listed(self._picture(root, name), CLASSES[label], _SPLITS[name.partition("_")[0]]) for name, label in lines
        ]
        refuse_absent(archive, path, [picture.path for picture in listed])
        return listed

    def _picture(self, root: str, name: str) -> str:
        stem = name.rpartition(".")[0]
        return f"{root}Image/aligned/{stem}_aligned.jpg" if self.aligned else f"{root}Image/original/{name}"
