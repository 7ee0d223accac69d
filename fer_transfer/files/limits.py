"""How much is read at most. No release in use comes near: what goes beyond is damaged, or made to do harm."""

from dataclasses import asdict, dataclass

from fer_transfer.errors import ConfigError, ReleaseError

_MIB = 1 << 20

#: Bytes that every archive may unpack to, however small it is itself.
_ALWAYS = 256 * _MIB

#: Bytes that a file of an archive counts beside its content, as on a disk: names take memory and time too.
FILE_BYTES = 4096


@dataclass(frozen=True)
class Limits:
    """Bounds on what is read, and on the time for it.

    Attributes:
        picture_mib: MiB of an encoded picture.
        text_mib: MiB of a text that is read whole: FER+'s votes, ``synthetic.json``.
        csv_mib: MiB of a csv that is read row by row, unpacked.
        archive_mib: MiB of all files of an archive, unpacked, each counted 4 KiB larger than it is.
        archive_ratio: how many times its own size an archive may unpack to; 256 MiB are never too many.
        frame_seconds: seconds for finding the face of one frame.

    Raises:
        ConfigError: if one is not above 0.
    """

    picture_mib: float = 64
    text_mib: float = 16
    csv_mib: float = 2048
    archive_mib: float = 65536
    archive_ratio: float = 200
    frame_seconds: float = 60

    def __post_init__(self) -> None:
        if wrong := [f"{name}={value}" for name, value in asdict(self).items() if not value > 0]:
            raise ConfigError(f"Expected limits above 0, but got {', '.join(wrong)}. Change limits.")

    def unpacked(self, size: int) -> float:
        """Bytes that an archive of ``size`` bytes may unpack to."""
        return min(self.archive_mib * _MIB, max(_ALWAYS, self.archive_ratio * size))


#: What holds where nothing else is said.
LIMITS = Limits()


class TooMuchError(ReleaseError):
    """A file or archive that goes beyond a limit.

    Attributes:
        reason: in a few words: "over 64 MiB".
    """

    def __init__(self, where: str, limit: float, setting: str) -> None:
        self.reason = f"over {limit / _MIB:g} MiB"
        super().__init__(
            f"Expected at most {limit / _MIB:g} MiB in {where}, but it holds more. It is damaged, or made to do harm; "
            f"if it is right, raise {setting}."
        )


def refuse_beyond(size: float, mib: float, where: str, setting: str) -> None:
    """Refuse so many bytes if they are more than ``mib`` MiB.

    Raises:
        TooMuchError: naming ``where`` and the setting that bounds it.
    """
    if size > mib * _MIB:
        raise TooMuchError(where, mib * _MIB, setting)
