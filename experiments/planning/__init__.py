"""From options to requests, from requests to cells, from cells to one graph of stages."""
