"""The commands: ``fer-prepare``, ``fer-train``, ``fer-report``. Thin Hydra applications over ``conf/``."""
