"""What deploys: one folder per tier, no app logic and no AWS calls."""
