"""From evidence to guarantees: float64 geometry, no model, no sampling (docs/theory.md 3, 4, 6, 9)."""

from attricert.certificates.certificate import Certificate
from attricert.certificates.evidence import Evidence
from attricert.certificates.geometry import METHODS, Geometry
from attricert.certificates.movement import Facts
from attricert.certificates.solve import least_scale
from attricert.certificates.statement import GUARANTEES, Statement

__all__ = ["GUARANTEES", "METHODS", "Certificate", "Evidence", "Facts", "Geometry", "Statement", "least_scale"]
