"""What `outlast bench-optimizers` is made of: runs on the worlds of the gym, their records, tables and curves."""
