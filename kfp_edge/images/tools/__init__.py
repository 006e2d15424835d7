"""The programs that build, copy and run images, and fetch what goes into them."""
