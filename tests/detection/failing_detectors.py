"""Detectors that fail in a process of their own; here, so that such a process imports no more than it needs."""

import ctypes
import os
import signal
import time

from fer_transfer.detection.detectors import ViolaJones


class Deadly(ViolaJones):
    """Takes its process with it."""

    def detect(self, frame):
        os._exit(9)


class Crashing(ViolaJones):
    """Crashes in C at a frame of 61 pixels height."""

    def detect(self, frame):
        if frame.shape[0] == 61:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().detect(frame)


class Hanging(ViolaJones):
    """Never comes back from a frame of 61 pixels height, in C, without letting go of the interpreter."""

    def detect(self, frame):
        if frame.shape[0] == 61:
            ctypes.PyDLL(None).sleep(1000)
        return super().detect(frame)


class Slow(ViolaJones):
    """Takes its time over every frame."""

    def detect(self, frame):
        time.sleep(0.07)
        return super().detect(frame)


class Broken(ViolaJones):
    """Has a mistake in it."""

    def detect(self, frame):
        raise ZeroDivisionError("mine")
