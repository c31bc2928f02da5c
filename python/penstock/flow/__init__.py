"""Flow control: limits, retry, circuit breakers, deadlines, and executors."""
