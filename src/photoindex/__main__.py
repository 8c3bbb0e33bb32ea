"""python -m photoindex"""

from photoindex.cli import main

if __name__ == "__main__":
    main()
