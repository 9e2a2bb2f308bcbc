"""Images and arrays on disk and on the hub: how they are found, decoded and kept."""
