"""Live fan-out: who follows which thread, what is being written right now, and how slow readers catch up.

Nothing here is durable: the store's log is the truth, and whatever a queue cannot take is read from it later.
"""
