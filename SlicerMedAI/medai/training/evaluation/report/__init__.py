"""The report for people: one HTML page with plots and the worst cases as pictures."""
