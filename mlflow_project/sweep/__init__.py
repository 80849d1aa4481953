"""A sweep over a registry, a folder or a list: `sources` plans it, `driver` runs it.

`local` and `on_ray` are where scans run, in processes of their own, `cli.sweep_child`.
"""
