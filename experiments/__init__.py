"""What is asked: the paper's experiments, their plan, and the programs that run it."""
