"""Attribution, scoring and the command line."""
