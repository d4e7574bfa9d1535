"""What changes any plan: one file each."""
