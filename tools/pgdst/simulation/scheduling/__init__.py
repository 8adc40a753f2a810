"""The scheduler: who takes the next step, who waits for whom, what strikes, and why a run hangs."""
