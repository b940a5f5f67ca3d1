"""The one way in which URLs of users are fetched: checked at every hop, and connected to the address checked."""
