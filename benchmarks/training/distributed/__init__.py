"""One training on several processes, as torchrun starts them: a rank each, a batch among them."""
