"""The commands, a module each; light to import, the work is imported when a command runs."""
