"""What `review_at_scale.py` is made of: the rows, how they are written, and the pages."""
