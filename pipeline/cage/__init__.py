"""Keeps a process away from everything but what it was given, as far as the system's kernel can.

A cage is made of layers (`layers`), each tried by itself; what could not be had comes back as a
sentence. `namespaces` takes away the network and the sight of other processes, `rlimits` bounds
what the process uses up, `privileges` gives up what root may do, `landlock` leaves it a few places
in the file system, `seccomp` refuses the system calls that no reader of a file needs.

`keeper` runs a process in its cage and ends all that it started, `launch` does so with another
program, and `environment` chooses the variables it sees. Only Linux has these layers.
"""
