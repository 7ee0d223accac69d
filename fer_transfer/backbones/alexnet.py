"""AlexNet as Caffe has it (``bvlc_alexnet``; Krizhevsky et al. 2012), the paper's first network.

Two groups in conv2, conv4 and conv5, LRN before pooling (CaffeNet pools first), 60,965,224 parameters with 1000 classes.
torchvision's AlexNet is another network: one group, no LRN, other widths.
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from fer_transfer.backbones.caffe_net import CaffeNetPlan, Convolution, create, default_cfg
from fer_transfer.backbones.model_zoo import ZOO

PLAN = CaffeNetPlan(
    convolutions=(
        Convolution(96, 11, stride=4, norm=True, pool=True),
        Convolution(256, 5, padding=2, groups=2, norm=True, pool=True, bias=0.1),
        Convolution(384, 3, padding=1),
        Convolution(384, 3, padding=1, groups=2, bias=0.1),
        Convolution(256, 3, padding=1, groups=2, pool=True, bias=0.1),
    ),
    widths=(4096, 4096),
    norm=(5, 1e-4, 0.75, 1.0),
)

default_cfgs = generate_default_cfgs({"bvlc_alexnet": default_cfg(ZOO["bvlc_alexnet"])})


@register_model  # type: ignore[untyped-decorator]
def bvlc_alexnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Caffe's AlexNet for BGR pictures [N, 3, 227, 227], 0..255 less the mean; arguments as of ``CaffeNet``."""
    return create("bvlc_alexnet", PLAN, pretrained, **kwargs)
