"""Records of finished cells, and everything drawn from them: tables, figures and a page.

The route is one way: `store` reads records, `sections` arranges them, `tables`, `figures` and
`page` turn them into text and pictures, `report.render` writes those. Nothing here knows how a
number was made.
"""
