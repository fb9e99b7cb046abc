"""A Flask application that signs people in with Authlib, as its documentation has it: `python flask-authlib.py`."""

import os
import time

from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, redirect, session, url_for

app = Flask(__name__)
app.secret_key = os.urandom(32)
oauth = OAuth(app)
provider = oauth.register(
    "runegate",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url=os.environ["ISSUER"] + "/.well-known/openid-configuration",
    client_kwargs={"scope": "openid email profile groups offline_access", "code_challenge_method": "S256"},
)


@app.get("/login")
def login():
    return provider.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    token = provider.authorize_access_token()
    keep(token)
    session["user"] = dict(token["userinfo"])
    return redirect("/me")


def keep(token):
    session["tokens"] = {name: token.get(name) for name in ("access_token", "refresh_token", "id_token")}


@app.get("/me")
def me():
    if "user" not in session:
        return "", 401
    return jsonify(session["user"])


@app.post("/refresh")
def refresh():
    """New tokens, and with the access token what UserInfo says now."""
    metadata = provider.load_server_metadata()
    with provider._get_oauth_client(**metadata) as client:
        token = client.refresh_token(
            metadata["token_endpoint"], refresh_token=session["tokens"]["refresh_token"]
        )
    keep({**session["tokens"], **token})
    return jsonify({**provider.userinfo(token=token), "at": time.time()})


@app.get("/logout")
def logout():
    hint = session.get("tokens", {}).get("id_token")
    session.clear()
    return provider.logout_redirect(os.environ["ORIGIN"] + "/bye", id_token_hint=hint)


@app.get("/bye")
def bye():
    provider.validate_logout_response()
    return "bye"


@app.errorhandler(Exception)
def failed(error):
    return f"{type(error).__name__}: {error}", 400


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]))
