"""Networks whose batch normalisation is folded away, as deployment leaves them."""

import timm
import torch
from torch import nn


def trained_like(name):
    """A random network with statistics as after training."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=7).eval()
    for layer in norms(network):
        nn.init.normal_(layer.running_mean, 0, 0.5)
        nn.init.uniform_(layer.running_var, 0.5, 2)
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.normal_(layer.bias, 0, 0.3)
    return network


def norms(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


@torch.no_grad()
def fold(network):
    """Move each layer's statistics and gain into the convolution before it, as deployment does; the bias stays."""
    convolution = None
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            convolution = layer
        if isinstance(layer, nn.BatchNorm2d):
            gain = layer.weight / torch.sqrt(layer.running_var + layer.eps)
            assert convolution.bias is None and convolution.out_channels == layer.num_features
            convolution.weight.mul_(gain[:, None, None, None])
            layer.bias.sub_(gain * layer.running_mean)
            for tensor, value in (
                (layer.weight, (1 + layer.eps) ** 0.5),
                (layer.running_mean, 0),
                (layer.running_var, 1),
            ):
                tensor.fill_(value)
    return network
