"""`python -m prism_bench`: the same as `prism-bench`."""

from prism_bench.experiments.cli.main import main

if __name__ == "__main__":
    main()
