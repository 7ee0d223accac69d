"""Facial expression recognition by staged transfer learning, after Ng et al. (EmotiW 2015)."""

from fer_transfer import _torchvision

__version__ = "0.1.0"

_torchvision.install()
