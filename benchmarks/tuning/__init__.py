"""Equal tuning: the same number of trials, sampler and seed for every method."""
