"""`python -m lunaroute`: the same as the `lunaroute` command."""

from lunaroute.cli import main

if __name__ == "__main__":
    main()
