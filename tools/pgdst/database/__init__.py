"""What is done to a database of the run: migrations, templates, clones."""
