"""What the real Pulumi engine makes of the stacks, with a stand-in for the cloud's providers."""
