"""From evidence to guarantees: float64 geometry, no model, no sampling, no torch (docs/theory.md 3, 4, 6, 9)."""

from attricert.certificates.certificate import Certificate, Interval
from attricert.certificates.claim import Claim, Observed
from attricert.certificates.evidence import Evidence, piece_classes
from attricert.certificates.ledger import LEGACY_WEIGHTS, Ledger
from attricert.certificates.meaning import Meaning, note
from attricert.certificates.paper import PaperCertificate
from attricert.certificates.population import Share, least_share
from attricert.certificates.solve import least_scale
from attricert.certificates.terms import Terms

__all__ = [
    "LEGACY_WEIGHTS",
    "Certificate",
    "Claim",
    "Evidence",
    "Interval",
    "Ledger",
    "Meaning",
    "Observed",
    "PaperCertificate",
    "Share",
    "Terms",
    "least_scale",
    "least_share",
    "note",
    "piece_classes",
]
