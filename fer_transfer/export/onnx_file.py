"""The ONNX file: a graph, and behind it a record of what it is; both carry a digest, so that what is read is what was written.

An ONNX file is a protobuf message, and messages that stand one behind the other are one: the record is appended to the graph
as metadata under ``fer_transfer``, which every program that reads ONNX shows or ignores.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError, WeightsError
from fer_transfer.files.document import seal_of
from fer_transfer.files.names import shown
from fer_transfer.files.nearby import near_path
from fer_transfer.files.regular import open_regular

#: ONNX's set of operators that graphs are written in: the first with all that is needed, read by whatever is in use.
OPSET = 17

#: Names of the graph's input, uint8 [faces, height, width] or in colour [faces, height, width, 3], and outputs, float32
#: [faces, classes].
INPUT, OUTPUTS = "faces", ("probabilities", "logits")

#: How names of nodes begin that belong to a network, and not to what is done with faces before and with logits after it.
NETWORKS = "/networks."

#: Of the record's form.
FORMAT = 1

_BATCH = 64  # faces at a time: what fills a processor, and fits a laptop

_KEY = "fer_transfer"
_AGAIN = "Export it again: fer-export."


def takes(colour: bool) -> str:
    """What a graph takes, for a reader."""
    return "[N, H, W, 3], RGB," if colour else "[N, H, W], grey,"


def with_record(graph: bytes, record: Mapping[str, Any]) -> bytes:
    """An ONNX file of a graph and plain data."""
    import onnx

    own = {"format": FORMAT, "graph": {"bytes": len(graph), "sha256": hashlib.sha256(graph).hexdigest()}}
    content = json.loads(json.dumps({**own, **record}, allow_nan=False))  # as it will be read: tuples are lists
    text = json.dumps(content | {"sha256": seal_of(content)})
    entry = onnx.StringStringEntryProto(key=_KEY, value=text)
    return graph + bytes(onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def read_bytes(path: Path) -> bytes:
    """All of a regular file.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        near = "" if path.exists() else near_path(path)
        raise WeightsError(
            f"Expected an ONNX file at {shown(str(path))}, but got: {error.strerror or error}.{near} "
            "Give the folder or the file that fer-export wrote."
        ) from None


def session_of(data: bytes, where: str) -> Any:
    """ONNX Runtime's session of a file, on the CPU.

    Raises:
        ConfigError: if ONNX Runtime is not installed.
        WeightsError: if the file is damaged, or no ONNX file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            "Expected ONNX Runtime, but it is not installed. Install it: pip install 'fer_transfer[export]'."
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is told by what is raised
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own kinds, one for each way to be damaged
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(
            f"Expected an ONNX file in {where}, but ONNX Runtime cannot read it ({shown(first[:160])}): it is damaged, or no "
            f"ONNX file. {_AGAIN}"
        ) from None


def outputs_of(session: Any, faces: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both outputs float32 [N, classes] of faces of the shape that the graph takes, some at a time."""
    parts = [
        session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(faces[start : start + _BATCH])})
        for start in range(0, max(1, len(faces)), _BATCH)
    ]
    probabilities, logits = (np.concatenate([part[number] for part in parts]) for number in range(len(OUTPUTS)))
    return probabilities, logits


def record_in(session: Any, data: bytes, where: str) -> dict[str, Any]:
    """The record of a file that ``with_record`` wrote.

    Args:
        session: of the file.
        data: its bytes.
        where: it is, for messages.

    Raises:
        WeightsError: if it has none, because it is somebody else's; is of another version; or the file was changed.
    """
    text = session.get_modelmeta().custom_metadata_map.get(_KEY)
    if text is None:
        inputs = ", ".join(f"{of.name} {of.type} {of.shape}" for of in session.get_inputs())
        raise WeightsError(
            f"Expected an ONNX file that fer-export wrote in {where}, but it is somebody else's: nothing in it says what its "
            f"outputs mean and how faces are cut for it (its input: {shown(inputs[:200])}). Give what fer-export wrote."
        )
    try:
        content = json.loads(text)
        seal, version = content["sha256"], content["format"]
    except (ValueError, KeyError, TypeError):
        raise _damaged(where, "its record cannot be read") from None
    if version != FORMAT:
        raise WeightsError(
            f"Expected an export of format {FORMAT} in {where}, but got {version!r}: another version of fer_transfer wrote it. "
            f"{_AGAIN}"
        )
    if seal != seal_of(content):
        raise _damaged(where, "its record is not what was written")
    graph = content["graph"]
    if hashlib.sha256(memoryview(data)[: graph["bytes"]]).hexdigest() != graph["sha256"]:
        raise _damaged(where, "its graph is not what was written")
    found: dict[str, Any] = content
    return found


def _damaged(where: str, what: str) -> WeightsError:
    return WeightsError(f"Expected the ONNX file that fer-export wrote in {where}, but it is damaged: {what}. {_AGAIN}")
