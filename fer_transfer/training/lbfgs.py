"""L-BFGS with weight decay, for convex recipes whose batch is all of their faces: logistic regression."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class LBFGS(torch.optim.LBFGS):
    """torch's, which knows one group and no decay: here half the decay times the squared norm is part of the loss.

    A step is a whole solution: up to ``max_iter`` iterations with a line search that meets the strong Wolfe conditions.

    Args:
        params: groups (``optim.parameter_groups``), of which ``weight_decay`` counts.
        lr: length of the first trial step of each line search.
        weight_decay: of groups that say no other.
        max_iter: iterations a step; what comes after they have ended is the next step's.
    """

    def __init__(self, params: Sequence[dict[str, Any]], lr: float, weight_decay: float, max_iter: int) -> None:
        self._decays = [(p, group.get("weight_decay", weight_decay)) for group in params for p in group["params"]]
        super().__init__([p for p, _ in self._decays], lr, max_iter, line_search_fn="strong_wolfe")

    def step(self, closure: Callable[[], float | Tensor]) -> float | Tensor:  # type: ignore[override]
        """One solution; ``closure`` gives the loss without decay, and leaves its gradients."""

        @torch.no_grad()
        def decayed() -> float:
            with torch.enable_grad():
                loss = float(closure())
            for parameter, decay in self._decays:
                loss += 0.5 * decay * float(parameter.square().sum())
                assert parameter.grad is not None
                parameter.grad.add_(parameter, alpha=decay)
            return loss

        solved: float | Tensor = super().step(decayed)  # type: ignore[no-untyped-call]
        return solved
