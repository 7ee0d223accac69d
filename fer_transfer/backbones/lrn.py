"""Local response normalisation across channels, as Caffe and torch define it, without their cost.

``y = x * s ** -beta`` with ``s = k + alpha / size * (sum of x ** 2 over the size channels around)``. The sum is made of
shifted additions, the power of two square roots, and both passes go over the batch in pieces that stay in the
processor's cache. The backward pass computes ``s`` again: that is cheaper than to keep it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Values in work at once on a CPU thread: a few float32 buffers of 128 KiB fit its own cache, and torch does so few without
# its thread pool. Pieces run on threads of our own instead: a pool meets after each of the thousands of small operations, and
# where other programs keep the cores busy every meeting costs a time slice, seconds in all.
_PIECE = 32_767
_THREADS = 4  # at most; more wait for the interpreter's lock


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

        def work(piece: Tensor, result: Tensor) -> None:
            values = piece.to(torch.promote_types(x.dtype, torch.float32))
            s = _window(values.square(), size).mul_(share).add_(k)
            result.copy_(_powers(s, beta)[0].mul_(values))

        _in_pieces(work, x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """With f = s ** -beta: ``g f - 2 beta alpha / size x window(g f x / s)``."""
        (x,) = ctx.saved_tensors
        size, share, beta, k = ctx.constants
        gradient = gradient.contiguous(memory_format=_format(x))
        dx = torch.empty_like(x)

        def work(piece: Tensor, g: Tensor, result: Tensor) -> None:
            values = piece.to(torch.promote_types(x.dtype, torch.float32))
            scaled, inverse = _powers(_window(values.square(), size).mul_(share).add_(k), beta)
            scaled.mul_(g)
            through = _window(inverse.mul_(scaled).mul_(values), size)
            result.copy_(scaled.addcmul_(through, values, value=-2 * beta * share))

        _in_pieces(work, x, gradient, dx)
        return dx, None, None, None, None


def _format(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _in_pieces(work: Callable[..., None], *tensors: Tensor) -> None:
    """Call with views of tensors of one shape and format: [pixels, C, 1] of channels_last ones, else [pictures, C, pixels]."""
    if _format(tensors[0]) == torch.channels_last:
        views = [t.permute(0, 2, 3, 1).flatten(0, 2)[..., None] for t in tensors]
    else:
        views = [t.flatten(2) for t in tensors]
    if tensors[0].device.type != "cpu":  # a GPU wants everything at once
        work(*views)
        return
    pieces = list(_pieces(views))
    waiting = iter(pieces)  # of a list: threads may share it
    threads = min(torch.get_num_threads(), _THREADS, len(pieces))

    inference = torch.is_inference_mode_enabled()

    def drain() -> None:
        with torch.inference_mode(inference), torch.no_grad():  # a new thread has neither; the first alone records
            for piece in waiting:
                work(*piece)

    if threads <= 1:
        drain()
        return
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(drain) for _ in range(threads - 1)]
        drain()
        for other in others:
            other.result()


def _pieces(views: list[Tensor]) -> Iterator[list[Tensor]]:
    count, channels, pixels = views[0].shape
    across = max(1, _PIECE // max(1, channels))
    if pixels <= across:
        step = across // max(1, pixels)
        yield from ([v[start : start + step] for v in views] for start in range(0, count, step))
        return
    for picture in range(count):
        alone = [v[picture : picture + 1] for v in views]
        yield from ([v[..., start : start + across] for v in alone] for start in range(0, pixels, across))


def _window(values: Tensor, size: int) -> Tensor:
    """Sums of [:, C, :] over the size channels around each."""
    total, channels = values.clone(), values.shape[1]
    for shift in range(1, min(size // 2 + 1, channels)):
        rest = channels - shift
        total.narrow(1, shift, rest).add_(values.narrow(1, 0, rest))
        total.narrow(1, 0, rest).add_(values.narrow(1, shift, rest))
    return total


def _powers(s: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """``s ** -beta`` and ``1 / s``; takes s apart."""
    if beta == 0.75:  # two roots: a power costs ten times as much
        root = s.rsqrt_()
        return root.sqrt().mul_(root), root.square_()
    return s.pow(-beta), s.reciprocal_()
