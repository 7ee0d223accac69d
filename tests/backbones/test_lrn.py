"""LRN against torch's own, NumPy and finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_transfer.backbones.lrn import LocalResponseNorm

CONSTANTS = [(5, 1e-4, 0.75, 1.0), (5, 5e-4, 0.75, 2.0), (3, 0.5, 0.6, 1.5), (1, 0.1, 0.75, 1.0), (9, 0.2, 0.75, 1.0)]
FORMATS = [torch.contiguous_format, torch.channels_last]


def activations(dtype, memory_format, channels=24, seed=0):
    torch.manual_seed(seed)
    x = (torch.randn(2, channels, 7, 9) * 40).relu().to(dtype)
    return x.contiguous(memory_format=memory_format).requires_grad_()


def output_and_gradient(layer, x, upstream):
    x = x.detach().clone().requires_grad_()
    y = layer(x)
    y.backward(upstream.to(y.dtype))
    return y.detach(), x.grad


def relative(got, expected):
    return float((got.double() - expected.double()).abs().max() / expected.double().abs().max())


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("constants", CONSTANTS)
@pytest.mark.parametrize(
    ("dtype", "bounds"), [(torch.float64, (1e-14,) * 2), (torch.float32, (1e-6,) * 2), (torch.bfloat16, (4e-3, 8e-3))]
)
def test_it_is_torchs(dtype, bounds, constants, memory_format):
    x = activations(dtype, memory_format)
    upstream = torch.randn(x.shape, dtype=torch.float64).to(dtype)
    got = output_and_gradient(LocalResponseNorm(*constants), x, upstream)
    theirs = output_and_gradient(nn.LocalResponseNorm(*constants), x.double(), upstream.double())
    assert [t.dtype for t in got] == [dtype] * 2
    assert relative(got[0], theirs[0]) < bounds[0] and relative(got[1], theirs[1]) < bounds[1]


def test_it_is_caffes_formula():
    size, alpha, beta, k = 5, 0.3, 0.75, 2.0
    x = np.random.default_rng(0).normal(size=(2, 11, 3, 4))
    expected = np.empty_like(x)
    for c in range(11):
        around = x[:, max(0, c - size // 2) : c + size // 2 + 1]
        expected[:, c] = x[:, c] / (k + alpha / size * (around**2).sum(axis=1)) ** beta
    got = LocalResponseNorm(size, alpha, beta, k)(torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("constants", [(5, 0.4, 0.75, 1.0), (3, 0.7, 0.5, 2.0)])
def test_gradient_is_that_of_finite_differences(constants, memory_format):
    torch.manual_seed(0)
    x = torch.randn(2, 7, 3, 2, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    assert torch.autograd.gradcheck(LocalResponseNorm(*constants), (x,))


@pytest.fixture
def one_thread():
    """Thousands of tiny convolutions: torch's thread pool costs minutes there while other programs run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("groups", [1, 2])
def test_gradient_of_convolution_and_norm_is_that_of_finite_differences(groups, one_thread):
    """The first layers of AlexNet in small: grouped convolution, ReLU, LRN, pooling."""
    torch.manual_seed(1)
    convolution = nn.Conv2d(4, 6, 3, padding=1, groups=groups).double()
    rest = nn.Sequential(nn.ReLU(), LocalResponseNorm(5, 0.4, 0.75, 1.0), nn.MaxPool2d(3, 2, ceil_mode=True))
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, requires_grad=True)

    def run(x, weight, bias):
        return rest(torch.func.functional_call(convolution, {"weight": weight, "bias": bias}, x))

    assert torch.autograd.gradcheck(run, (x, *(p.detach().requires_grad_() for p in convolution.parameters())))


@pytest.mark.parametrize("memory_format", FORMATS)
def test_autocast_keeps_the_sum_in_float32(memory_format):
    x = activations(torch.bfloat16, memory_format)
    ours = LocalResponseNorm(5, 1e-2, 0.75, 1.0)
    expected = ours(x.float()).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        got = ours(x)
        got.backward(torch.ones_like(got))
    assert got.dtype == torch.bfloat16 and torch.equal(got, expected)
    assert x.grad.dtype == torch.bfloat16 and x.grad.isfinite().all()


@pytest.mark.parametrize("memory_format", FORMATS)
def test_memory_format_and_input_stay(memory_format):
    x = activations(torch.float32, memory_format)
    before = x.detach().clone()
    y = LocalResponseNorm(5)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert y.is_contiguous(memory_format=memory_format) and gradient.is_contiguous(memory_format=memory_format)
    assert torch.equal(x, before)


def test_pieces_make_one_whole():
    """More values than one piece holds, a gradient of another format, and a batch that is a view."""
    torch.manual_seed(0)
    x = torch.randn(9, 32, 60, 80)[::2, :, :, 1:]
    upstream = torch.randn_like(x).contiguous(memory_format=torch.channels_last)
    ours = output_and_gradient(LocalResponseNorm(5, 0.1), x, upstream)
    theirs = output_and_gradient(nn.LocalResponseNorm(5, 0.1), x.double(), upstream.double())
    assert max(map(relative, ours, theirs)) < 1e-6


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(mode, threads):
    x = torch.randn(4, 96, 30, 30)
    expected = nn.LocalResponseNorm(5, 0.1)(x)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with mode():
            got = LocalResponseNorm(5, 0.1)(x)
    finally:
        torch.set_num_threads(before)
    assert relative(got, expected) < 1e-6


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_another_device_nothing_leaves_it(dtype, memory_format):
    """The device of tensors without values: it goes the way of a GPU and refuses a tensor of the CPU."""
    x = (
        torch.empty(2, 96, 300, 300, dtype=dtype, device="meta")
        .contiguous(memory_format=memory_format)
        .requires_grad_()
    )
    y = LocalResponseNorm(5)(x)
    y.backward(torch.empty_like(y))
    assert x.grad is not None
    for result in (y, x.grad):
        assert (result.device.type, result.dtype, result.stride()) == ("meta", dtype, x.stride())


def test_an_empty_batch_passes():
    assert LocalResponseNorm(5)(torch.zeros(0, 8, 3, 3)).shape == (0, 8, 3, 3)


@pytest.mark.parametrize("wrong", [{"size": 4}, {"size": 0}, {"size": 5, "k": 0.0}])
def test_what_caffe_refuses(wrong):
    with pytest.raises(ValueError, match="odd LRN size"):
        LocalResponseNorm(**wrong)


def test_other_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"\[N, C, H, W\].*\(3, 4\)"):
        LocalResponseNorm(5)(torch.zeros(3, 4))
