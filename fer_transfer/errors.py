"""The exceptions a user of this package can meet, each also a standard one.

A message says what was expected, what was found (path, first three, count) and what to do next.
"""


class FerTransferError(Exception):
    """Base of all errors that are the input's or the configuration's fault, shown without a traceback."""


class ReleaseError(FerTransferError, ValueError):
    """A release on disk is not what its layout promises: a bad row, picture, folder or archive."""


class FacesError(FerTransferError, ValueError):
    """A folder of prepared faces is missing, incomplete or cannot serve what is asked of it."""


class WeightsError(FerTransferError, ValueError):
    """A weights file is missing, damaged, unsafe or does not fit the network."""


class ConfigError(FerTransferError, ValueError):
    """A recipe, plan or option is misspelt, missing or contradicts another."""


class NoMemoryError(FerTransferError, MemoryError):
    """A stage needs more memory, of the machine or of the device, than there is."""


class StoreError(FerTransferError, RuntimeError):
    """The store of stages cannot be read or written, or does not hold what is asked for."""


class LaunchError(FerTransferError, RuntimeError):
    """The jobs of a sweep cannot be started, or the machines they ran on are lost."""


class ProcessError(FerTransferError, RuntimeError):
    """Another process of those that train a stage together is gone."""
