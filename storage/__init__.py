"""Tables, SQL, locks, transactions and migrations. Remembers; never decides and never calls the network.

Everything here takes an open connection (`tx`) and the present instant; only `storage.db` opens connections.
Lock order, everywhere: order row, then member row.
"""
