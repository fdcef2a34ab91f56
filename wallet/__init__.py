"""What a buyer's card looks like and its signed bytes: Apple Wallet passes, Google Wallet objects, QR pictures.

Bytes in, bytes out: nothing here touches the network, the database, files or the environment,
but for `openssl.py`, which asks that command about a signature in a private temporary folder.
"""
