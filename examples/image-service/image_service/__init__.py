"""Classifies photographs."""

from image_service.classifier import Classifier

__all__ = ["Classifier"]
