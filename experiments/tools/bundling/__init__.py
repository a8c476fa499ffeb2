"""Results packed for elsewhere: what goes along, and what of this machine must not."""
