"""Local response normalisation across channels."""

import torch
from torch import Tensor, nn


class LocalResponseNorm(nn.Module):
    """Caffe's LRN across channels."""

    def __init__(self, size: int, alpha: float, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Normalise float [N, C, H, W]."""
        return torch.nn.functional.local_response_norm(x, self.size, self.alpha, self.beta, self.k)
