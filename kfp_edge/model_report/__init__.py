"""What a reviewer has to know about a model: the tables that the reports and the model card share."""
