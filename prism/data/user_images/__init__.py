"""Images of the user's own: a folder, a .zip or an .npz."""
