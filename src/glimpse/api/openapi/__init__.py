"""The OpenAPI 3.1 document: every path of ``api/routes.py`` with its declaration from this package."""
