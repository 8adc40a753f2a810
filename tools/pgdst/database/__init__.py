"""The databases of a run: migrations, templates, clones."""
