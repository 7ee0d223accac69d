"""Local response normalisation across channels, as Caffe and torch define it, without their cost.

``y = x * s ** -beta`` with ``s = k + alpha / size * (sum of x ** 2 over the size channels around)``. The sum is made of
shifted additions, the power of two square roots, and both passes go over the batch in pieces that stay in the
processor's cache, in buffers that are made once. The backward pass computes ``s`` again: that is cheaper than to keep it.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Values in work at once on each CPU thread: four float32 buffers of 256 KiB fit its own cache. Much fewer, and the calls and
# the meetings of torch's threads after each cost more than the arithmetic.
_PIECE = 1 << 16


class LocalResponseNorm(nn.Module):
    """Stands in for ``torch.nn.LocalResponseNorm`` on float [N, C, H, W] of any memory format, which it keeps.

    Inputs of bfloat16 or float16 are normalised in float32 and rounded once at the end, also under autocast; a float64
    input is in float64. Largest error against float64, over the largest value, on activations of about 0 to 100:
    float32 2e-7 in the output and the gradient; bfloat16 2e-3 and 3e-3, which is the rounding of its 8 bits alone.

    Args:
        size: channels that a value is normalised by, odd, itself in the middle.
        alpha: weight of the mean of their squares.
        beta: the power.
        k: added before the power, above 0.

    Raises:
        ValueError: if the size is even (Caffe refuses it, torch's window is then lopsided) or below 1, or k is not above 0.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0 or k <= 0:
            raise ValueError(f"Expected an odd LRN size and k above 0, but got size {size}, k {k}.")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Normalise float [N, C, H, W]; the result has its shape, dtype and memory format.

        Raises:
            ValueError: if there are not four dimensions.
        """
        if x.ndim != 4:
            raise ValueError(f"Expected LRN's input to be [N, C, H, W], but got {tuple(x.shape)}.")
        y: Tensor = _Normalise.apply(x, self.size, self.alpha / self.size, self.beta, self.k)  # type: ignore[no-untyped-call]
        return y

    def extra_repr(self) -> str:
        """The constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, share: float, beta: float, k: float) -> Tensor:
        x = x.contiguous(memory_format=_format(x))
        ctx.save_for_backward(x)
        ctx.constants = size, share, beta, k
        y = torch.empty_like(x)
        for buffers, (piece, result) in _in_pieces((size, share, k), x, y):
            values = buffers.load(piece)
            s = buffers.sums(values)
            torch.mul(_power(s, beta, out=buffers.first), values, out=result)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """With f = s ** -beta: ``g f - 2 beta alpha / size x window(g f x / s)``."""
        (x,) = ctx.saved_tensors
        size, share, beta, k = ctx.constants
        gradient = gradient.contiguous(memory_format=_format(x))
        dx = torch.empty_like(x)
        for buffers, (piece, g, result) in _in_pieces((size, share, k), x, gradient, dx):
            values = buffers.load(piece)
            s = buffers.sums(values)
            scaled = _power(s, beta, out=buffers.third).mul_(g)
            _inverse_after_power(s, beta).mul_(scaled).mul_(values)
            torch.addcmul(scaled, buffers.window(), values, value=-2 * beta * share, out=result)
        return dx, None, None, None, None

    @staticmethod
    def symbolic(graph: Any, x: Any, size: int, share: float, beta: float, k: float) -> Any:
        """In an exported network: ONNX's own operator, which is Caffe's and so this one."""
        return graph.op("LRN", x, size_i=size, alpha_f=share * size, beta_f=beta, bias_f=k)


def _format(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


class _Buffers:
    """Room for the intermediate values of pieces of one shape [a, C, b], in the dtype that is computed in."""

    def __init__(self, like: Tensor, size: int, share: float, k: float) -> None:
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.first, self.second, self.third = (torch.empty_like(like, dtype=dtype) for _ in range(3))
        self.converted = None if like.dtype == dtype else torch.empty_like(like, dtype=dtype)
        self.share, self.k = share, torch.full((), k, dtype=dtype, device=like.device)
        self._to_second, self._to_first = _shifts(self.second, self.first, size), _shifts(self.first, self.second, size)

    def load(self, piece: Tensor) -> Tensor:
        """The piece in the dtype that is computed in."""
        return piece if self.converted is None else self.converted.copy_(piece)

    def sums(self, values: Tensor) -> Tensor:
        """``s``, in ``second``; ``first`` is free again."""
        torch.mul(values, values, out=self.first)
        torch.add(self.k, self.first, alpha=self.share, out=self.second)
        for target, source in self._to_second:
            target.add_(source, alpha=self.share)
        return self.second

    def window(self) -> Tensor:
        """Sums over the channels around each of what is in ``second``; in ``first``."""
        self.first.copy_(self.second)
        for target, source in self._to_first:
            target.add_(source)
        return self.first


def _shifts(target: Tensor, source: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Views to add onto one another for the channels beside each; made once, for a view costs as much as an addition."""
    views, channels = [], target.shape[1]
    for shift in range(1, min(size // 2 + 1, channels)):
        rest = channels - shift
        views.append((target.narrow(1, shift, rest), source.narrow(1, 0, rest)))
        views.append((target.narrow(1, 0, rest), source.narrow(1, shift, rest)))
    return views


def _in_pieces(constants: tuple[int, float, float], *tensors: Tensor) -> Iterator[tuple[_Buffers, list[Tensor]]]:
    """Views of tensors of one shape and format: [pixels, C, 1] of channels_last ones, else [pictures, C, pixels]; and room."""
    if _format(tensors[0]) == torch.channels_last:
        views = [t.permute(0, 2, 3, 1).flatten(0, 2)[..., None] for t in tensors]
    else:
        views = [t.flatten(2) for t in tensors]
    buffers = None
    for piece in _pieces(views) if tensors[0].device.type == "cpu" else [views]:  # a GPU wants everything at once
        if buffers is None or buffers.first.shape != piece[0].shape:
            buffers = _Buffers(piece[0], *constants)
        yield buffers, piece


def _pieces(views: list[Tensor]) -> Iterator[list[Tensor]]:
    count, channels, pixels = views[0].shape
    across = max(1, _PIECE * torch.get_num_threads() // max(1, channels))
    if pixels <= across:
        step = across // max(1, pixels)
        yield from ([v[start : start + step] for v in views] for start in range(0, count, step))
        return
    for picture in range(count):
        alone = [v[picture : picture + 1] for v in views]
        yield from ([v[..., start : start + across] for v in alone] for start in range(0, pixels, across))


def _power(s: Tensor, beta: float, out: Tensor) -> Tensor:
    """``s ** -beta`` in out; takes s apart."""
    if beta == 0.75:  # two roots: a power costs ten times as much
        s.rsqrt_()
        return torch.sqrt(s, out=out).mul_(s)
    return torch.pow(s, -beta, out=out)


def _inverse_after_power(s: Tensor, beta: float) -> Tensor:
    """``1 / s`` in s, of what ``_power`` left of it."""
    return s.square_() if beta == 0.75 else s.reciprocal_()
