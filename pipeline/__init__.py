"""Which stages run, in which order and with which settings, and what becomes of their results.

Read `steps` first, the table of a scan's steps, then `scan`, which takes one model through them:

- `request` says what to scan, and `config` has the settings of all stages; `renamed` refuses
  settings by their old names.
- `prepare` is what every model goes through, the judged one and its references: from a file to a
  proven twin and the results of the searches.
- `evidence` is what a scan leaves behind, beside its verdict.

The rest is in folders:

- `intake` brings in the model and its clean samples. Whatever touches an untrusted file is in
  `untrusted` and runs in a child process in a cage (`sandbox`).
- `cache` keeps stage results on disk.
- `references` measures models known to be clean, or reads their profiles.
- `report` shows a scan to people and programs; `ci_formats` writes it for CI systems.
- `gate` decides whether a version may be promoted, and signs and verifies that decision.

`structure`, `atomic_files`, `printable` and `peak` are small tools that several of them share.
Nothing here knows MLflow or a command line.
"""
