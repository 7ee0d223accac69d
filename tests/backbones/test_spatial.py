"""The layer that Grad-CAM looks at, over networks of every layout."""

import pytest
import timm
import torch
from test_contract import NETWORKS, SMALL
from torch import nn

from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.backbones.networks import build_network
from fer_transfer.backbones.spatial import spatial_layer
from fer_transfer.errors import ConfigError

SWIN = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "img_size": 56, "window_size": 7}


@pytest.mark.parametrize(("name", "kwargs"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_every_backbone_of_the_contract_has_one_whose_tap_changes_nothing(name, kwargs):
    torch.manual_seed(0)
    backbone = describe(BackboneRecipe(name, kwargs=kwargs))
    network = backbone.network().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    size = SMALL.get(name, backbone.preprocessing.size)
    x = torch.randn(2, 3, size, size)
    layer, before, seen = spatial_layer(network, x), network(x), []
    with layer.tapped() as tap:
        tap.register_forward_hook(lambda module, given, output: seen.append(output.shape))
        assert torch.allclose(network(x), before, atol=1e-5)
    count, _, height, width = seen[0]
    assert count == 2 and height * width > 1 and len(seen) == 1
    assert torch.allclose(network(x), before, atol=1e-5) and len(seen) == 1  # the tap is gone


def last_layer(name, size, **kwargs):
    torch.manual_seed(0)
    return spatial_layer(timm.create_model(name, num_classes=7, **kwargs).eval(), torch.randn(1, 3, size, size))


def test_it_is_the_last_one_from_which_places_reach_the_answer():
    assert last_layer("test_resnet", 160).name == "layer4"
    assert last_layer("test_resnet", 32).name == "layer3"  # of layer4 one place is left
    by_class_token = last_layer("test_vit", 160)
    assert by_class_token.name == "blocks.4" and by_class_token.layout.prefix == 1  # of six blocks
    assert last_layer("test_vit", 160, global_pool="avg").name == "blocks.5"


def test_maps_with_the_channels_last_are_turned():
    layer = last_layer("swin_tiny_patch4_window7_224", 56, **SWIN)
    assert (layer.name, layer.layout.kind) == ("layers.1", "NHWC")
    output = torch.arange(2 * 7 * 7 * 32.0).reshape(2, 7, 7, 32)
    mapped = layer.layout.to_map(output)
    assert torch.equal(mapped[1, 5], output[1, :, :, 5])
    assert torch.equal(layer.layout.from_map(mapped, output), output)


def test_tokens_are_put_where_they_are_in_the_picture():
    layout = last_layer("test_vit", 160).layout
    output = torch.arange(101.0)[None, :, None].expand(1, 101, 64)
    mapped = layout.to_map(output)
    assert mapped[0, 0, 3].tolist() == list(range(31, 41))
    assert torch.equal(layout.from_map(mapped, output), output)


def test_a_network_without_one_is_told_what_it_can_take():
    network = build_network("test_resnet", {}, 7).eval()
    network.feature_info = []
    with pytest.raises(ConfigError, match="integrated_gradients or occlusion"):
        spatial_layer(network, torch.randn(1, 3, 64, 64))
    assert isinstance(network, nn.Module)
