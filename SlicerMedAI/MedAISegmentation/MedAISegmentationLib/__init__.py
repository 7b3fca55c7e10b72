"""What the MedAISegmentation module is made of: panel, logic, parameters, installation, sample data, self-test."""
