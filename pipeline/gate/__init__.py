"""May a version be promoted, and does an earlier decision still hold?

`policy` is what a registry demands, `decision` applies it to the facts of a scan, `attestation`
states the decision about the files it was made on, `signing` signs that statement with one of the
`keys`, and `verification` checks all of it again later.
"""
