"""Side-by-side measurements, with the old design as the baseline."""
