"""Floor 7: the REST API and the web page, over the calls that the command line makes."""
