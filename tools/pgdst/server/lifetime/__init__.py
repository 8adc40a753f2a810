"""How long a server lives: as long as its run, whatever happens."""
