"""`python -m prism_bench`: the same as `prism-bench`."""

from prism_bench.experiments.cli import main

if __name__ == "__main__":
    main()
