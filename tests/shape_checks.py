"""The type checker that holds the library to its annotations, shapes included, while the tests run."""

from beartype import BeartypeConf, beartype

# An int will do for a float, as PEP 484 has it.
checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
