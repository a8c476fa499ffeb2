"""What a store holds, who needs it, whether it is sound, and what can go. Needs no torch."""
