"""Several processes behind one listener: who starts them, what they tell one another, what they count together."""
