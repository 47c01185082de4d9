"""What every experiment does with a command line and a workdir."""
