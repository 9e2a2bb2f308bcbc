"""Every figure of the report, by name."""
