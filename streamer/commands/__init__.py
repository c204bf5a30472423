"""One module per subcommand of `moodring`; each is imported only when it is called."""
