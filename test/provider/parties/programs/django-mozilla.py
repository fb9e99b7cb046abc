"""A Django project in one file that signs people in with mozilla-django-oidc: `python django-mozilla.py`."""

import json
import os
import secrets
import sys
import urllib.request

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.http import HttpResponse, JsonResponse
from django.urls import include, path

ISSUER, ORIGIN = os.environ["ISSUER"], os.environ["ORIGIN"]
with urllib.request.urlopen(ISSUER + "/.well-known/openid-configuration") as response:
    METADATA = json.load(response)

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    DEBUG=True,
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.sqlite"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "mozilla_django_oidc",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        # Asks again with `prompt=none` once the time below is over.
        "mozilla_django_oidc.middleware.SessionRefresh",
    ],
    AUTHENTICATION_BACKENDS=["__main__.Backend"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    OIDC_RP_CLIENT_ID=os.environ["CLIENT_ID"],
    OIDC_RP_CLIENT_SECRET=os.environ["CLIENT_SECRET"],
    OIDC_OP_AUTHORIZATION_ENDPOINT=METADATA["authorization_endpoint"],
    OIDC_OP_TOKEN_ENDPOINT=METADATA["token_endpoint"],
    OIDC_OP_USER_ENDPOINT=METADATA["userinfo_endpoint"],
    OIDC_OP_JWKS_ENDPOINT=METADATA["jwks_uri"],
    OIDC_RP_SIGN_ALGO="RS256",
    OIDC_RP_SCOPES="openid email profile groups",
    OIDC_USE_PKCE=True,
    OIDC_STORE_ID_TOKEN=True,
    OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS=1,
    OIDC_OP_LOGOUT_URL_METHOD="__main__.logout_url",
    ALLOW_LOGOUT_GET_METHOD=True,
    LOGOUT_REDIRECT_URL="/bye",
    LOGIN_REDIRECT_URL="/me",
    LOGIN_REDIRECT_URL_FAILURE="/failed",
)
django.setup()

from django.contrib.auth.models import Group
from mozilla_django_oidc.auth import OIDCAuthenticationBackend


class Backend(OIDCAuthenticationBackend):
    """Groups become Django's."""

    def create_user(self, claims):
        return self.update_user(super().create_user(claims), claims)

    def update_user(self, user, claims):
        user.groups.set([Group.objects.get_or_create(name=name)[0] for name in claims.get("groups", [])])
        return user


def logout_url(request):
    query = {
        "id_token_hint": request.session["oidc_id_token"],
        "post_logout_redirect_uri": ORIGIN + "/bye",
    }
    return METADATA["end_session_endpoint"] + "?" + urllib.parse.urlencode(query)


def me(request):
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    groups = [group.name for group in request.user.groups.all()]
    return JsonResponse({"email": request.user.email, "groups": groups})


urlpatterns = [
    path("oidc/", include("mozilla_django_oidc.urls")),
    path("me", me),
    path("bye", lambda _: HttpResponse("bye")),
    path("failed", lambda _: HttpResponse("failed", status=403)),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", "127.0.0.1:" + os.environ["PORT"]])
