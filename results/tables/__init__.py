"""The leaderboard and its companions as CSV, Markdown, LaTeX and plain text."""
