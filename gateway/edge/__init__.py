"""The edge: HTTP and WebSocket on one port. Reads, feeds the protocol, writes; decides nothing itself."""
