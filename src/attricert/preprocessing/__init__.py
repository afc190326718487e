"""Models that take images as they are: resized and normalized inside, so that noise and eps are in pixels.

>>> model = ac.Preprocessed(network, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=256, crop=224)
>>> model = ac.preprocessed(network, like=weights.transforms())
"""

from attricert.preprocessing.model import Preprocessed, normalization
from attricert.preprocessing.ranges import declared_range, range_fault, warn_of_range
from attricert.preprocessing.reading import preprocessed

__all__ = ["Preprocessed", "declared_range", "normalization", "preprocessed", "range_fault", "warn_of_range"]
