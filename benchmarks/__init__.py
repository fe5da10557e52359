"""Speed and load comparisons; each program prints a table of ratios. For one: `python -m benchmarks.serving --help`."""
