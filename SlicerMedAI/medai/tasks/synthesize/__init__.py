"""Make images of random numbers with a MONAI bundle. What imports torch is in `run` and `sampling`."""
