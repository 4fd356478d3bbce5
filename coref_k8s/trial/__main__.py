"""`python -m coref_k8s.trial`."""

import sys

from coref_k8s.trial.main import main

sys.exit(main())
