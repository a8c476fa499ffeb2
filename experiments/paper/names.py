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

SCALES_FOR = {
    "smoke": "tests: the whole of Table 3 in under a minute on two cores",
    "laptop": "a first look: one seed of Table 3 in about fifteen minutes on two cores",
    "gpu": "a real check in a day on one GPU: CIFAR-10 or your images, 3 million images a training",
    "paper": "the paper: its four datasets, Table 6 to the letter, 50,000 samples; days on a GPU",
}
"""The words of `--scale`, and what each is for."""

NUMBERED = {"table3": "ablation-table3", "table4": "schedule-sweep", "table5": "hybrid-table5"}
"""Tables whose name says more than their number may be called by it."""
