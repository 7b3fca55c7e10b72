"""Labels in bounded memory: windows stream in, finished planes are brought to the image's grid and become labels."""
