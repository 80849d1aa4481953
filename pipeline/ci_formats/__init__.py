"""A scan in the formats that CI systems read.

`checks` turns a finished scan into an `Outcome` and a list of checks; `junit`, `sarif`,
`step_summary` and `bill_of_materials` each write one format of it, and `all_files` all of them.
"""
