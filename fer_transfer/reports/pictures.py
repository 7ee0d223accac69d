"""Pictures of the faces that predictions are of, for a report: where the faces are at hand and may be shown."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import FacesError
from fer_transfer.faces.faces import Faces
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.thumbnails import SIDE, thumbnails


class Pictures:
    """Prepared faces that a report was told of; a folder is opened when first asked for, and none needs to be there.

    Args:
        folders: of prepared faces, by the word that plans use for them (``faces.NAME=FOLDER`` of fer-report).
    """

    def __init__(self, folders: Mapping[str, Path] = MappingProxyType({})) -> None:
        self._folders = dict(folders)
        self._opened: dict[str, Faces | str] | None = None

    def missing(self, release: str, digest: str) -> str | None:
        """Why there are no pictures of a release's faces of this digest, as a sentence; None: there are.

        Args:
            release: its own name.
            digest: of the faces that the predictions are of.
        """
        found = self._find(release, digest)
        if isinstance(found, str):
            return found
        if found.may_be_shown:
            return None
        return f"Pictures of {release} stay out of reports: its faces were prepared with release.may_be_shown=false."

    def of(self, release: str, digest: str, ids: Iterable[str], side: int = SIDE) -> dict[str, NDArray[np.uint8]]:
        """Thumbnails of some faces, by id; none where ``missing`` says why, or a face is not there."""
        found = self._find(release, digest)
        if isinstance(found, str) or not found.may_be_shown:
            return {}
        there = set(found.ids.tolist())
        return thumbnails(found, (id for id in ids if id in there), side)

    @property
    def may_be_shown(self) -> dict[str, Path]:
        """Folders of the faces that are at hand and may be shown, by digest."""
        if self._opened is None:
            self._opened = {word: _open(folder) for word, folder in self._folders.items()}
        opened = (faces for faces in self._opened.values() if isinstance(faces, Faces))
        return {faces.digest: faces.folder for faces in opened if faces.may_be_shown}

    def _find(self, release: str, digest: str) -> Faces | str:
        """The faces of this digest, or why they are not at hand."""
        if self._opened is None:
            self._opened = {word: _open(folder) for word, folder in self._folders.items()}
        known = self._opened
        for faces in known.values():
            if isinstance(faces, Faces) and faces.digest == digest:
                return faces
        folder, there = self._folders.get(release), known.get(release)
        key = f"faces.{release}" if release in self._folders else f"++faces.{release}"  # as Hydra takes it
        give = f"Give {key}=FOLDER to see pictures of them."
        if isinstance(there, Faces):
            return f"{folder} holds other faces of {release} ({there.digest[:8]}) than these ({digest[:8]}). {give}"
        return f"{there or f'The faces of {release} are not at hand.'} {give}"


def _open(folder: Path) -> Faces | str:
    """The faces in a folder, or why there are none."""
    if not folder.exists():
        return f"There are no faces in {folder}."
    try:
        return open_faces(folder)
    except FacesError as error:
        return str(error)
