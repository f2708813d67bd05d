"""`python -m outlast`, for where the `outlast` script is not on the path."""

import sys

from outlast.cli import main

sys.exit(main())
