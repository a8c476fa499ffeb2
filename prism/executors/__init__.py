"""Where stages are made: processes of this machine, a cluster."""
