"""The rules of points, as pure functions over frozen values.

Owns every decision about points: what an order earns, when points become spendable, what a refund takes back,
which segment a member is in. Imports the standard library only; reads no clock, environment, log, file or socket:
time, ids and chance arrive as arguments.

Vocabulary (`docs/architecture.md` has the Russian words):

* member      a person with a points account;
* order       what the CRM calls a deal: its facts are its payments and whether the CRM says it is paid;
* transfer    one debit and one credit of a whole number of points between two accounts;
* lot         points that became due together and share one activation and one expiry;
* programme   the owner's rules; each version is kept, and an order stays with the version of its first accrual.
"""
