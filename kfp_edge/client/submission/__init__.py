"""What is checked and made before a run or a schedule is sent: the pipeline package, names, values, the image."""
