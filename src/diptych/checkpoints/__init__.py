"""Weights in every public format to one record and back. Floor 2; torch is imported only where it reads or writes."""

from diptych.checkpoints.checkpoint import Checkpoint
from diptych.checkpoints.load import load_checkpoint
from diptych.checkpoints.save import save_checkpoint

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]
