"""What `certify` will meet: looks at model, attribution and inputs that refuse nothing, and tell all that they see."""

from attricert.diagnosis.examining import default_noise, examine
from attricert.diagnosis.finding import Cost, Diagnosis, Finding
from attricert.diagnosis.patient import Patient
from attricert.diagnosis.surroundings import mode_told
from attricert.diagnosis.tuning import Rate, Tuning, tuned

__all__ = [
    "Cost",
    "Diagnosis",
    "Finding",
    "Patient",
    "Rate",
    "Tuning",
    "default_noise",
    "examine",
    "mode_told",
    "tuned",
]
