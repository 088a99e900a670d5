"""Pure decisions: tables and functions of values, without a loop, a clock or a store."""
