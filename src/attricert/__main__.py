"""``python -m attricert``."""

import sys

from attricert.cli.main import main

sys.exit(main())
