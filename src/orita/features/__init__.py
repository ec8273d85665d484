"""What is known: declarations of features, one plan, and the engines that carry it out."""
