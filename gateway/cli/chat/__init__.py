"""`threadgate chat`: a conversation in the terminal.

`command` is the command, `conversation` what happens, `slash` what begins with a slash, `screen` what is seen
and `keyboard` what is typed.
"""
