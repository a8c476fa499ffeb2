"""Images of the user's own: a folder, a .zip, an .npz, a .parquet."""
