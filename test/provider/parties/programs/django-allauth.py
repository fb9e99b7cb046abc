"""A Django project in one file that signs people in with django-allauth: `python django-allauth.py`."""

import os
import secrets
import sys

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.http import HttpResponse, JsonResponse
from django.urls import include, path

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    DEBUG=True,
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "allauth.sqlite"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    ACCOUNT_EMAIL_VERIFICATION="none",
    LOGIN_REDIRECT_URL="/me",
    ACCOUNT_LOGOUT_REDIRECT_URL="/bye",
    SOCIALACCOUNT_PROVIDERS={
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "runegate",
                    "name": "Runegate",
                    "client_id": os.environ["CLIENT_ID"],
                    "secret": os.environ["CLIENT_SECRET"],
                    "settings": {
                        "server_url": os.environ["ISSUER"],
                        "scope": ["openid", "email", "profile", "groups"],
                    },
                }
            ],
        }
    },
)
django.setup()

from allauth.socialaccount.models import SocialAccount


def me(request):
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    data = SocialAccount.objects.get(user=request.user).extra_data
    groups = data.get("userinfo", data).get("groups", [])
    return JsonResponse({"email": request.user.email, "groups": groups})


urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("me", me),
    path("bye", lambda _: HttpResponse("bye")),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", "127.0.0.1:" + os.environ["PORT"]])
