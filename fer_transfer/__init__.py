"""Facial expression recognition by staged transfer learning, after Ng et al. (EmotiW 2015)."""

from fer_transfer import _torchvision

__version__ = "0.2.0"

_torchvision.install()
