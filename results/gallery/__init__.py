"""Queries with what was found first: which to show, and the thumbnails that takes."""
