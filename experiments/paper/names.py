"""What experiments are called on the command line, known without loading them."""

PAPER_ORDER = (
    "table1",
    "table2",
    "ablation-table3",
    "schedule-sweep",
    "hybrid-table5",
    "figure1",
    "figure3",
    "figure4",
)
"""What `all` means."""

SCALE_NAMES = ("smoke", "laptop", "gpu", "paper")

NUMBERED = {"table3": "ablation-table3", "table4": "schedule-sweep", "table5": "hybrid-table5"}
"""Tables whose name says more than their number may be called by it."""
