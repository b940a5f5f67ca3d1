"""The OpenAPI 3.1 document of the API: every path of ``api/routes.py`` with what is declared about it here."""
