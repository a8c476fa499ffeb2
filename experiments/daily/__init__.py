"""Daily work with one trained variant: find it in the store, sample it, evaluate it."""
