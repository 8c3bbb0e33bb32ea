"""python -m photoindex"""

from photoindex.cli import run

if __name__ == "__main__":
    run()
