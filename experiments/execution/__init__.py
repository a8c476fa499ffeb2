"""A plan carried out: stages made, cells recorded, progress shown."""
