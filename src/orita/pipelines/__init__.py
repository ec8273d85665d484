"""What runs when: tasks, graphs, and the local runner; the only place that wires training together."""
