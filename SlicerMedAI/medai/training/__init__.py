"""Training and what it leaves in a bundle."""
