"""What stands beside the library: baselines, training of the zoo's models, and the paper's experiments made anew."""
