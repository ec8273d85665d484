"""``python -m orita`` is the command ``orita``."""

from orita.cli import main

if __name__ == "__main__":
    main()
