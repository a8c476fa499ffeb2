"""Every option of every command, once: name, type, help and check, for the command line and for Python. Light."""
