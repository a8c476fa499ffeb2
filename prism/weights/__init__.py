"""Files of weights: published ones, fetched and checked; the user's own, known by their digest; exported models."""
