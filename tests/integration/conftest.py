import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration"))
from fixtures import server, start  # noqa: E402,F401
from tls_files import tls  # noqa: E402,F401
