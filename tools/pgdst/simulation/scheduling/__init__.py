"""The scheduler: choice of the next client, wait graph, injection of faults, diagnosis of runs that hang."""
