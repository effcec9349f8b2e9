"""What runs the study on AWS and on a server of its own: the template, the functions' package, units."""
