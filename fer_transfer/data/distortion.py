"""What a recipe says of distorting faces: read and checked before torch is imported; ``data.distorter`` distorts them."""

from dataclasses import dataclass

from fer_transfer.errors import ConfigError

_MOST = {"rotate": 45.0, "zoom": 0.5, "shift": 0.5, "light": 0.9, "erase": 1.0}


@dataclass
class Distortion:
    """Training faces after crop and mirror, each by numbers of its own; 0 leaves them as they are.

    Attributes:
        rotate: at most so many degrees to either side, 0 to 45.
        zoom: a side becomes 1 - zoom to 1 + zoom of itself, 0 to 0.5.
        shift: at most this share of a side, in both directions, 0 to 0.5. What comes in from outside is mirrored.
        light: brightness and contrast are multiplied by 1 - light to 1 + light each, of grey faces as by torchvision's
            ``ColorJitter``, 0 to 0.9.
        erase: chance that a rectangle of 2 to 33 % of the face, of an aspect of 0.3 to 3.3, becomes the mean grey of the weights
            (Zhong et al., Random Erasing Data Augmentation, AAAI 2020), 0 to 1.
    """

    rotate: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    light: float = 0.0
    erase: float = 0.0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            if not 0 <= (value := getattr(self, name)) <= most:
                raise ConfigError(f"Expected recipe.distortion.{name} to be 0 to {most:g}, but got {value}.")

    @property
    def distorts(self) -> bool:
        """Whether anything is distorted."""
        return any(getattr(self, name) > 0 for name in _MOST)
