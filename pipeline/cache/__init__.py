"""Stage results of earlier scans on disk, found again by everything that could change them.

`store` runs a stage or reads its earlier result, `keys` names what a result depends on, and `entry`
writes one result as files.
"""
