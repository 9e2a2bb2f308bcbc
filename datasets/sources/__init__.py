"""One data set a file, and the trees over their classes."""
