"""The commands: thin applications over ``conf/``. A process that imports this is one of theirs, and starts sooner."""

import atexit
import gc

from fer_transfer import _without

# Nearly all that is imported stays: looking for garbage in it, while it comes and once more at the end, takes seconds.
gc.set_threshold(50_000)
atexit.register(gc.freeze)
_without.install("torchmetrics", "matplotlib", "scipy", "torchvision")
