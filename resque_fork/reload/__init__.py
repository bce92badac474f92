"""``work --reload``: the program is started again when a file of the application changes."""
