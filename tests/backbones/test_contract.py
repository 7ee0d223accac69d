"""The contract that plans rely on, over the paper's networks, timm's miniatures and a ViT and a ConvNeXt of full depth."""

from fnmatch import fnmatchcase

import pytest
import timm
import torch
import torch.nn.functional as F

from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.training.optim import parameter_groups

MINIATURES = sorted(name for name in timm.list_models("test_*"))
NETWORKS = [
    ("bvlc_alexnet", {"img_size": 67}),
    ("vgg_cnn_m_2048", {"img_size": 67}),
    *((name, {}) for name in MINIATURES),
    ("vit_tiny_patch16_224", {"img_size": 64}),
    ("convnext_atto", {}),
]
OURS = {"bvlc_alexnet", "vgg_cnn_m_2048"}
SMALL = {"convnext_atto": 64, "vit_tiny_patch16_224": 64}  # the one takes any size, the other's record stays at 224


@pytest.mark.parametrize(("name", "kwargs"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_a_backbone_can_be_trained_and_taken_apart(name, kwargs):
    torch.manual_seed(0)
    backbone = describe(BackboneRecipe(name, kwargs=kwargs))
    network = backbone.network().eval()  # dropout and dropped paths would leave some gradients out
    preprocessing = backbone.preprocessing
    assert len(preprocessing.mean) == 3 and (name not in OURS or preprocessing.size == 67)
    size = SMALL.get(name, preprocessing.size)
    x = torch.randn(2, 3, size, size) * (50 if name in OURS else 1)
    with torch.no_grad():  # a branch that starts with gain 0 would hide what is behind it
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)

    logits = network(x)
    assert logits.shape == (2, 7) and logits.isfinite().all()
    F.cross_entropy(logits, torch.tensor([0, 3])).backward()
    gradients = {n: p.grad for n, p in network.named_parameters()}
    assert not [n for n, g in gradients.items() if g is None or not g.isfinite().all() or not g.any()]

    patterns = backbone.head
    head = {n for n, _ in network.named_parameters() if any(fnmatchcase(n, pattern) for pattern in patterns)}
    assert head and all(7 in dict(network.named_parameters())[n].shape for n in head)
    groups = parameter_groups(network, patterns, 0.001, 10)
    assert len({id(p) for group in groups for p in group["params"]}) == len(list(network.parameters()))

    with torch.no_grad():
        features = network.forward_features(x)
        assert torch.allclose(network.forward_head(features), logits, atol=1e-5)
        hidden = network.forward_head(features, pre_logits=True)
        network.reset_classifier(0)
        assert torch.allclose(network(x), hidden, atol=1e-5) and hidden.shape == (2, network.head_hidden_size)
