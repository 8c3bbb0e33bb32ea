"""Everything a person or a script reads: results on stdout, progress and notes on stderr."""
