"""What makes a bare training step, and an evaluation, faster on a processor: ways side by side, with random pictures.

No loader, no Lightning, no cropping: a timm network of seven classes, in float32 with one thread unless a way says otherwise.
Ways take turns, and the best of the rounds counts; compiling and the first two steps of each way do not.

::

    python benchmarks/steps.py mobilenetv2_100 --size 48
    python benchmarks/steps.py resnet18 --size 64 --compile      # torch.compile too: minutes of compiling, once a machine

Evaluation needs ONNX Runtime for three of its ways (``pip install 'fer_transfer[export]'``).
"""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_transfer.export.onnx_file import OPSET

BATCH, CLASSES = 64, 7

Run = Callable[[], Any]


def network(name: str) -> Any:
    import timm  # after fer_transfer, which lets torchvision be imported beside any build of torch

    return timm.create_model(name, num_classes=CLASSES)


def step_of(model: Any, pictures: Tensor, half: bool = False) -> Run:
    """One step of stochastic gradient descent over what is not frozen."""
    loss: Any = nn.functional.cross_entropy
    labels = torch.arange(len(pictures)) % CLASSES
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(wanted, lr=0.001, momentum=0.9)
    model.train()

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = loss(model(pictures), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return run


def training_ways(name: str, size: int, compiled: bool) -> dict[str, Run]:
    """Steps by what they are called."""
    plain = torch.rand(BATCH, 3, size, size)
    last = plain.contiguous(memory_format=torch.channels_last)

    def in_last(model: Any) -> Any:
        return model.to(memory_format=torch.channels_last)

    frozen = in_last(network(name)).requires_grad_(False)
    frozen.get_classifier().requires_grad_(True)
    ways = {
        "channels_last": step_of(in_last(network(name)), last),
        "NCHW": step_of(network(name), plain),
        "channels_last, bf16": step_of(in_last(network(name)), last, half=True),
        "channels_last, all but the head frozen": step_of(frozen, last),
    }
    if compiled:
        ways["channels_last, torch.compile"] = step_of(torch.compile(in_last(network(name))), last)
    return ways


def evaluation_ways(name: str, size: int, folder: Path) -> dict[str, Run]:
    """Forward passes by what they are called."""
    model = network(name).eval()
    plain = torch.rand(BATCH, 3, size, size)
    last = plain.contiguous(memory_format=torch.channels_last)
    in_last = network(name).eval().to(memory_format=torch.channels_last)
    trace: Any = torch.jit.trace
    fused = torch.jit.optimize_for_inference(trace(model, plain))
    return {
        "torch, NCHW": lambda: model(plain),
        "torch, channels_last": lambda: in_last(last),
        "torch, traced, norms folded, oneDNN's fusions": lambda: fused(plain),
        **_onnx_ways(model, plain, folder),
    }


def _onnx_ways(model: Any, pictures: Tensor, folder: Path) -> dict[str, Run]:
    try:
        import onnxruntime
        from onnxruntime.quantization import QuantType, quantize_static
    except ImportError:
        return {}
    paths = {"float32": folder / "float32.onnx", "int8": folder / "int8.onnx"}
    logging.disable(logging.WARNING)  # it advises to prepare the graph, which torch's exporter has done
    torch.onnx.export(model, (pictures,), paths["float32"], dynamo=False, opset_version=OPSET, input_names=["pictures"])
    onnxruntime.set_default_logger_severity(3)  # it tells of every constant that it folds
    batches = iter([{"pictures": pictures.numpy()}])

    class Reader:
        def get_next(self) -> Any:
            return next(batches, None)

    quantize_static(
        paths["float32"], paths["int8"], Reader(), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        kind: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for kind, path in paths.items()
    }
    feed = {"pictures": pictures.numpy()}
    return {f"ONNX Runtime, {kind}": partial(session.run, None, feed) for kind, session in sessions.items()}


def measure(ways: dict[str, Run], rounds: int, seconds: float) -> dict[str, float]:
    """Pictures a second of each way, the best of the rounds."""
    best = dict.fromkeys(ways, 0.0)
    for name, run in ways.items():
        started = time.perf_counter()
        run(), run()
        print(f"  {name}: first two in {time.perf_counter() - started:.1f} s", flush=True)
    for _ in range(rounds):
        for name, run in ways.items():
            started, count = time.perf_counter(), 0
            while time.perf_counter() - started < seconds:
                run()
                count += 1
            best[name] = max(best[name], BATCH * count / (time.perf_counter() - started))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="of timm")
    parser.add_argument("--size", type=int, default=64, help="of the pictures (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a way in a round (default: %(default)s)")
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # of torch's exporter by tracing, which wants no other package
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        print(f"{given.network}, {given.size} px, batches of {BATCH}, 1 thread, torch {torch.__version__}")
        training = measure(training_ways(given.network, given.size, given.compile), given.rounds, given.seconds)
        with torch.inference_mode():
            evaluation = measure(evaluation_ways(given.network, given.size, Path(folder)), given.rounds, given.seconds)
    for what, rates in (("training", training), ("evaluation", evaluation)):
        print(f"{what}, pictures a second")
        for name, rate in rates.items():
            print(f"  {name:<45} {rate:8.1f}")


if __name__ == "__main__":
    main()
