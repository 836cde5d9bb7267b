"""Photographs on disk to batches for training."""

from photo_input.pipeline import BATCH, SIDE, batches

__all__ = ["BATCH", "SIDE", "batches"]
