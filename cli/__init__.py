"""The `kopilka` command: one file per group of commands. No rules and no SQL: it calls flows and prints.

Every command has `--help`, an exit code (0 ok, 1 warnings under --strict, 2 errors), `--json` where a program may read
the answer, and ends every error with one line that says how to mend it.
"""
