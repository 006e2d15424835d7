"""What a target may hold, by task, and what it means for the split and its warnings."""
