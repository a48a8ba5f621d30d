"""`python -m demo`: a whole site on one machine. `script/demo` calls it."""

import sys

from demo.supervisor import main

sys.exit(main())
