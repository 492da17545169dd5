"""What is printed about a record: every function returns text, the command line prints it."""
