"""Speed, as ratios of things measured in one run: machines differ, ratios travel."""
