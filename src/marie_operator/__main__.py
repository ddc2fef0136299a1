"""``python -m marie_operator``: the command line."""

from marie_operator.cli import main

if __name__ == "__main__":
    main()
