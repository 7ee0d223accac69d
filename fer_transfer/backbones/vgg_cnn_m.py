"""VGG-CNN-M-2048 (Chatfield et al., "Return of the Devil in the Details", 2014), the paper's second network.

92,469,864 parameters with 1000 classes. Its published deploy file has no LRN constant k: 2 is that of its sister nets.
Fillers are not published with it either; those of ``bvlc_alexnet`` stand here (gaussian of 0.01, in fc6 and fc7 0.005,
bias 0.1 in conv2, conv4, conv5, fc6 and fc7), for the network follows AlexNet's training.
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from fer_transfer.backbones.caffe_net import CaffeNetPlan, Convolution, create, default_cfg
from fer_transfer.backbones.model_zoo import ZOO

PLAN = CaffeNetPlan(
    convolutions=(
        Convolution(96, 7, stride=2, norm=True, pool=True),
        Convolution(256, 5, stride=2, padding=1, norm=True, pool=True, bias=0.1),
        Convolution(512, 3, padding=1),
        Convolution(512, 3, padding=1, bias=0.1),
        Convolution(512, 3, padding=1, pool=True, bias=0.1),
    ),
    widths=(4096, 2048),
    norm=(5, 5e-4, 0.75, 2.0),
)

default_cfgs = generate_default_cfgs({"vgg_cnn_m_2048": default_cfg(ZOO["vgg_cnn_m_2048"])})


@register_model  # type: ignore[untyped-decorator]
def vgg_cnn_m_2048(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """VGG-CNN-M-2048 for BGR pictures [N, 3, 224, 224], 0..255 less the mean; arguments as of ``CaffeNet``."""
    return create("vgg_cnn_m_2048", PLAN, pretrained, **kwargs)
