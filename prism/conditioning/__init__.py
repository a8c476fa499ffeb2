"""What guides the network: which neighbours, how many of them at each moment, and how they become one vector."""
