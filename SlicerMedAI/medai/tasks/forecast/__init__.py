"""What becomes of a patient over several visits."""
