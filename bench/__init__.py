"""What `make bench` measures: one module a part, listed in `parts.py`."""
