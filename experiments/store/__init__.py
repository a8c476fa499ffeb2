"""What the store holds: listed, explained, verified, cleaned."""
