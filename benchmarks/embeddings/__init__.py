"""What those ask who build vector search: which code to take, and what it costs to search."""
