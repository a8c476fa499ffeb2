"""Groups of commands, each a file: parsing and printing only."""
