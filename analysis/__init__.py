"""Records to statistics, tables and figures. Never imports torch."""
