"""Files of weights: published ones, fetched and checked; and the user's own, known by their digest."""
