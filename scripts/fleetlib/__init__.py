"""What scripts/fleet is made of."""
