"""JupyterHub's configuration: people come from an OpenID provider, by oauthenticator."""

import json
import os
import urllib.request

ISSUER, ORIGIN = os.environ["ISSUER"], os.environ["ORIGIN"]
with urllib.request.urlopen(ISSUER + "/.well-known/openid-configuration") as response:
    metadata = json.load(response)

c = get_config()  # noqa: F821
c.JupyterHub.bind_url = "http://127.0.0.1:" + os.environ["PORT"]
c.JupyterHub.hub_port = int(os.environ["HUB_PORT"])
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:" + os.environ["PROXY_PORT"]
c.ConfigurableHTTPProxy.command = os.environ["PROXY"]
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"

c.JupyterHub.authenticator_class = "generic-oauth"
c.GenericOAuthenticator.client_id = os.environ["CLIENT_ID"]
c.GenericOAuthenticator.client_secret = os.environ["CLIENT_SECRET"]
c.GenericOAuthenticator.oauth_callback_url = ORIGIN + "/hub/oauth_callback"
c.GenericOAuthenticator.authorize_url = metadata["authorization_endpoint"]
c.GenericOAuthenticator.token_url = metadata["token_endpoint"]
c.GenericOAuthenticator.userdata_url = metadata["userinfo_endpoint"]
c.GenericOAuthenticator.scope = ["openid", "email", "groups", "offline_access"]
c.GenericOAuthenticator.username_claim = "email"
c.GenericOAuthenticator.manage_groups = True
c.GenericOAuthenticator.auth_state_groups_key = "oauth_user.groups"
c.GenericOAuthenticator.allowed_groups = {"staff"}
c.GenericOAuthenticator.enable_auth_state = True
c.GenericOAuthenticator.logout_redirect_url = metadata["end_session_endpoint"] + "?client_id=" + os.environ["CLIENT_ID"]
# Asks UserInfo again, and for new tokens if that fails, at each use after a second.
c.GenericOAuthenticator.auth_refresh_age = 1

c.JupyterHub.load_roles = [{"name": "user", "scopes": ["self"]}]
