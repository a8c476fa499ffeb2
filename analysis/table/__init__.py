"""What a table consists of, and how it is made of a plan and its records."""
