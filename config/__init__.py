"""Environment and rules file, read once into frozen objects.

Owns: the settings of the process (`settings.py`), the owner's rules file (`programme.py`), the clock, the log set-up.
Must not: decide anything about points, open a socket, touch a database, or be imported by loyalty, storage, connector
or wallet. Russian texts in this package are read by the person who edits the file or starts the service.
"""
