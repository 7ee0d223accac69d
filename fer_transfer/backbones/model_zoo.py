"""The model zoo: what is known of the Caffe files of the paper's two networks. Nothing is fetched by this package."""

from dataclasses import dataclass

from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError


@dataclass(frozen=True)
class ZooModel:
    """A network in Caffe's model zoos: its ``.caffemodel`` and the input that it expects.

    Attributes:
        network: our name of it.
        file: the published file's name.
        address: where its authors put it.
        parameters: float32 numbers that it holds.
        size: bytes; None where no source states it.
        sha1: hexadecimal; None where no source states it.
        sha256: likewise.
        licence: of the weights, in the words of their authors.
        mean_file: the published mean image.
        mean_address: where it was put.
        mean_side: height and width of the mean image, in pixels.
        mean: the mean image's channel means, in BGR order, in grey levels 0..255.
        input_side: height and width of the network's input, in pixels.
        sources: where these facts are stated.
    """

    network: str
    file: str
    address: str
    parameters: int
    size: int | None
    sha1: str | None
    sha256: str | None
    licence: str
    mean_file: str
    mean_address: str
    mean_side: int
    mean: tuple[float, float, float]
    input_side: int
    sources: str

    @property
    def crop_pct(self) -> float:
        """Share of the resized picture's side (256 in both trainings) that the input is."""
        return self.input_side / 256


ZOO = {
    known.network: known
    for known in (
        ZooModel(
            network="bvlc_alexnet",
            file="bvlc_alexnet.caffemodel",
            address="http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
            parameters=60_965_224,
            size=243862414,
            sha1="9116a64c0fbe4459d18f4bb6b56d647b63920377",
            sha256="4bff209a9837298157915ef50a4831a59636a6ca1a6b8ebacd990c3a5f3053e0",
            licence="unrestricted use (BVLC)",
            mean_file="imagenet_mean.binaryproto",
            mean_address="http://dl.caffe.berkeleyvision.org/caffe_ilsvrc12.tar.gz",
            mean_side=256,
            mean=(104.00699, 116.66877, 122.67891),
            input_side=227,
            sources="Caffe's model zoo, models/bvlc_alexnet/readme.md (address, sha1, licence); "
            "Open Model Zoo, models/public/alexnet/model.yml (size, sha256)",
        ),
        ZooModel(
            network="vgg_cnn_m_2048",
            file="VGG_CNN_M_2048.caffemodel",
            address="http://www.robots.ox.ac.uk/~vgg/software/deep_eval/releases/bvlc/VGG_CNN_M_2048.caffemodel",
            parameters=92_469_864,
            size=None,
            sha1=None,
            sha256=None,
            licence="non-commercial use only (VGG)",
            mean_file="VGG_mean.binaryproto",
            mean_address="http://www.robots.ox.ac.uk/~vgg/software/deep_eval/releases/bvlc/VGG_mean.binaryproto",
            mean_side=224,
            mean=(102.717, 115.77261, 123.50937),
            input_side=224,
            sources="the release of Chatfield et al., Return of the Devil in the Details (2014), and its card, "
            "gist.github.com/ksimonyan/78047f3591446d1d7b91 (address, licence); copies are said to have about 370 MB; "
            "no source states the exact size or a digest",
        ),
    )
}


def zoo_model(network: str) -> ZooModel:
    """What is known of a network's published file.

    Raises:
        ConfigError: if it is none of the paper's two.
    """
    if network not in ZOO:
        raise ConfigError(
            f"Expected net={' or net='.join(ZOO)}, but got {network!r}.{nearest(network, ZOO)} Of another network bring a file: "
            f"net={network} file=FILE."
        )
    return ZOO[network]


def card(known: ZooModel) -> list[str]:
    """Lines for a person who wants to get the file: name, place, size, digests, licence, mean image, sources."""
    rows = {
        "file": known.file,
        "published at": known.address,
        "size": f"{known.size} bytes"
        if known.size
        else f"not stated; its numbers alone take {4 * known.parameters} bytes",
        "sha1": known.sha1 or "not stated",
        "sha256": known.sha256 or "not stated",
        "licence": known.licence,
        "mean image": f"{known.mean_file}, 3x{known.mean_side}x{known.mean_side} BGR, {known.mean_address}",
        "input": f"3x{known.input_side}x{known.input_side} BGR, 0..255 less the mean",
        "sources": known.sources,
    }
    return [known.network, *(f"  {title:<13} {text}" for title, text in rows.items())]
