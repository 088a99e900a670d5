"""What looks like personal data or like a secret in a text: one module for each family of shapes, all of them pure.

A detector reads a text from left to right in linear time and gives findings; where a shape has a checksum or a known
length, that is tried before anything is called a finding. What becomes of findings is `gateway/rules/redaction.py`.
"""
