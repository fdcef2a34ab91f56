"""The amoCRM client: all topics behind one name.

Owns nothing but the composition. Each topic is a file of its own; the rules common to all calls are in `api.py`.
"""

from __future__ import annotations

from connector.amocrm.account import AccountApi
from connector.amocrm.bonus import BonusApi
from connector.amocrm.bots import BotsApi
from connector.amocrm.changes import ChangesApi
from connector.amocrm.contacts import ContactsApi
from connector.amocrm.customers import CustomersApi
from connector.amocrm.exports import ExportsApi
from connector.amocrm.fields import FieldsApi
from connector.amocrm.invoices import InvoicesApi
from connector.amocrm.leads import LeadsApi
from connector.amocrm.notes import NotesApi
from connector.amocrm.purchases import PurchasesApi
from connector.amocrm.tasks import TasksApi


class AmoCrm(
    AccountApi,
    LeadsApi,
    ContactsApi,
    FieldsApi,
    CustomersApi,
    NotesApi,
    InvoicesApi,
    ChangesApi,
    PurchasesApi,
    BonusApi,
    BotsApi,
    TasksApi,
    ExportsApi,
):
    """`AmoCrm(base_url, auth, gate, http)`: synchronous, one account, safe to share between threads."""
