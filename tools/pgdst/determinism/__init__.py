"""The check of determinism: does the same seed give the same run?"""
