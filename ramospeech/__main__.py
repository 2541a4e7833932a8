"""`python -m ramospeech`: the command, where it is not on the path."""

import sys

from ramospeech.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
