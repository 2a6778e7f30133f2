"""How fast this is, beside others' tools on the same work: ``python -m benchmarks``."""
