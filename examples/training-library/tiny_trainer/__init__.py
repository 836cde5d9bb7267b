"""Trains small Keras models."""

from tiny_trainer.models import classifier
from tiny_trainer.trainer import Trainer

__all__ = ["Trainer", "classifier"]
