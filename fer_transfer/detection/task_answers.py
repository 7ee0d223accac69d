"""What MediaPipe's FaceLandmarker is asked, and its answer as numbers: [478, 3] shares of the frame, [52], and [4, 4] a face.

MediaPipe 0.10.14 makes an object of every point, at a tenth of the time that a face takes in all. There its graph is asked as
its own ``detect`` does it, and the answer is read as it leaves the graph. Other versions are asked by ``detect``.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.geometry import BLENDSHAPES, POINTS
from fer_transfer.errors import ConfigError

#: The one version whose graph is asked.
_GRAPH = "0.10.14"

_PLACE = attrgetter("x", "y", "z")

#: Streams of the graph that come out of it, a message a face in each.
_LANDMARKS, _SHAPES, _POSE = "norm_landmarks", "blendshapes", "face_geometry"

#: Of a point in serialised form: where its fields' tags stand (one byte of the message's tag, one of its length; then a byte
#: of a tag and four of a number), what they are (fields 1 to 3, 32 bits each), and where their numbers stand.
_TAGS, _FIELDS = [2, 7, 12], [1 << 3 | 5, 2 << 3 | 5, 3 << 3 | 5]
_NUMBERS = [*range(3, 7), *range(8, 12), *range(13, 17)]


class Answer(NamedTuple):
    """Of one face: float64 [478, 3] (x and y in shares of the frame, z in those of its width), float64 [52], float64 [4, 4]."""

    points: NDArray[np.float64]
    shapes: NDArray[np.float64]
    pose: NDArray[np.float64]


#: Answers for the faces of a picture (``mediapipe.Image``); in video mode with its time in milliseconds.
Ask = Callable[[Any, int], list[Answer]]


def asking(task: Any, version: str, video: bool) -> Ask:
    """How a FaceLandmarker of this version of MediaPipe is asked.

    What comes raises RuntimeError or ValueError for what the library does not do, and ConfigError for other points or
    blendshapes than those known.
    """
    return _by_graph(task, video) if version == _GRAPH else _by_method(task, video)


def _by_method(task: Any, video: bool) -> Ask:
    def ask(picture: Any, at: int) -> list[Answer]:
        found = task.detect_for_video(picture, at) if video else task.detect(picture)
        faces = zip(found.face_landmarks, found.face_blendshapes, found.facial_transformation_matrixes, strict=True)
        return [
            Answer(_points(points), _values(shapes, "category_name"), np.asarray(pose))
            for points, shapes, pose in faces
        ]

    return ask


def _by_graph(task: Any, video: bool) -> Ask:
    from mediapipe.python import packet_creator, packet_getter

    whole = task.convert_to_normalized_rect(None, None).to_pb2()
    process = task._process_video_data if video else task._process_image_data

    def faces(packets: Any) -> Iterator[tuple[Any, Any, Any]]:
        messages = (packet_getter.get_proto_list(packets[name]) for name in (_LANDMARKS, _SHAPES, _POSE))
        return zip(*messages, strict=True)

    def ask(picture: Any, at: int) -> list[Answer]:
        image, rectangle = packet_creator.create_image(picture), packet_creator.create_proto(whole)
        if video:
            image, rectangle = image.at(1000 * at), rectangle.at(1000 * at)  # microseconds
        packets = process({"image_in": image, "norm_rect_in": rectangle})
        if packets[_LANDMARKS].is_empty():
            return []
        return [
            Answer(_sent(points), _values(shapes.classification, "label"), _matrix(pose.pose_transform_matrix))
            for points, shapes, pose in faces(packets)
        ]

    return ask


def _points(points: Any) -> NDArray[np.float64]:
    if len(points) != POINTS:
        raise _other_model(f"{len(points)} points, not {POINTS}")
    return np.fromiter(chain.from_iterable(map(_PLACE, points)), np.float64, 3 * POINTS).reshape(POINTS, 3)


def _sent(message: Any) -> NDArray[np.float64]:
    """Of a ``NormalizedLandmarkList`` in its serialised form: x, y and z first of every point, float32s behind their tags."""
    data = np.frombuffer(message.SerializeToString(), np.uint8)
    count, size = len(message.landmark), len(data) // POINTS
    if count != POINTS or len(data) != POINTS * size:
        raise _other_model(f"{count} points, not {POINTS}")
    points = data.reshape(POINTS, size)
    if (points[:, _TAGS] != _FIELDS).any():
        raise _other_model("points of another form")
    return np.ascontiguousarray(points[:, _NUMBERS]).view("<f4").astype(np.float64)


def _values(shapes: Any, name: str) -> NDArray[np.float64]:
    if tuple(getattr(shape, name) for shape in shapes) != BLENDSHAPES:
        raise _other_model(f"other blendshapes than the {len(BLENDSHAPES)} known")
    return np.array([shape.score for shape in shapes])


def _matrix(told: Any) -> NDArray[np.float64]:
    """A message of MediaPipe's ``MatrixData``, which is in columns (layout 0, the default) or in rows."""
    matrix = np.array(told.packed_data).reshape(told.rows, told.cols)
    return matrix if told.layout else matrix.T


def _other_model(gives: str) -> ConfigError:
    return ConfigError(
        f"Expected face_landmarker_v2_with_blendshapes.task as MediaPipe's model, but this one gives {gives}. Give that one."
    )
