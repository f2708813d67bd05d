"""Half price for those who can wait: batches of calls that survive a restart."""
