"""The doctor: looks at an installation, running or stopped, and says what is wrong and how to mend it.

It changes nothing and needs nothing: every check works on an empty directory. One file per subject; how
findings are printed is the command line's business.
"""
