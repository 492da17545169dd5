"""How often decision rules are wrong: ours and the peers' on benchmark series, and ours on simulated noise."""
