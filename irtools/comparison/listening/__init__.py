"""A listening test, from clips of every condition to one offline page, and from its CSV files to a table of means."""
