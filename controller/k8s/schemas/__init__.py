"""What users may write in routes, where it is not what the controller reads."""
