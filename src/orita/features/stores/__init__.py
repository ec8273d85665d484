"""Online stores, one a file; all keep the contract in `store`."""
