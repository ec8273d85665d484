"""What is watched: drift of features and predictions, quality from feedback, alerts, the trigger to retrain."""
