"""Plans and records: what is written is what is read."""
