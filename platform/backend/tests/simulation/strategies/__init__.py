"""Where the choices of the machine come from. Every one is drawn, so every one can be replayed and shrunk."""
