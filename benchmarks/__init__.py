"""Where methods, data sets and results meet: training, evaluation and the command line."""
