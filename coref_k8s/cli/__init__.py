"""The command line: one file a group of verbs, registered in `main.COMMANDS`, loaded only when called."""
