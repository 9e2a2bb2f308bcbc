"""Side-by-side speed measurements, each a script that prints ratios."""
