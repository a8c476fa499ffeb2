"""From a store's records to tables and pictures on disk and on the screen."""
