"""`python -m outlast.cli`, for where the `outlast` script is not on the path."""

import sys

from outlast.cli.app import main

sys.exit(main())
