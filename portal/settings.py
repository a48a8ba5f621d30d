"""Settings, read from the environment. A value that makes no sense stops the start; nothing is guessed.

Every variable is named in `.env.example`. A secret may also be given as a file: `NAME_FILE=/run/secrets/x`.
The defaults run from a bare checkout: SQLite, a directory as the store, mail written to files.
"""

import re
import secrets
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from portal.kept import kept_secret, make_private_database, make_private_folder
from portal.unfold import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

HOME = Path(env.str("WEIGHBRIDGE_HOME", str(BASE_DIR / "var"))).resolve()
make_private_folder(HOME)
DEMO = env.bool("WEIGHBRIDGE_DEMO", False)
DEBUG = env.bool("WEIGHBRIDGE_DEBUG", False)


def _secret_key() -> str:
    """The key from the environment, or one made on the first start and kept in HOME."""
    if key := env.str("WEIGHBRIDGE_SECRET_KEY", ""):
        if len(key) < 32:
            raise ImproperlyConfigured("WEIGHBRIDGE_SECRET_KEY must have at least 32 characters.")
        return key
    return kept_secret(HOME / "secret_key", partial(secrets.token_urlsafe, 48))


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = env.list("WEIGHBRIDGE_SECRET_KEY_FALLBACKS", default=[])

# The Ed25519 key that signs the seals of the audit log (portal/audit/keys.py); empty: made once, kept in HOME.
AUDIT_KEY = env.str("WEIGHBRIDGE_AUDIT_KEY", "").strip()
AUDIT_FORMER_KEYS = env.list("WEIGHBRIDGE_AUDIT_FORMER_KEYS", default=[])  # public ones
# The Ed25519 key that signs manifests of revisions (distribution/signing.py), in the same way.
MANIFEST_KEY = env.str("WEIGHBRIDGE_MANIFEST_KEY", "").strip()
for _name, _keys in (
    ("AUDIT_KEY", [AUDIT_KEY]),
    ("AUDIT_FORMER_KEYS", AUDIT_FORMER_KEYS),
    ("MANIFEST_KEY", [MANIFEST_KEY]),
):
    if any(key and not re.fullmatch(r"[0-9a-f]{64}", key) for key in _keys):
        raise ImproperlyConfigured(
            f"WEIGHBRIDGE_{_name}: a key is 64 hex digits. `openssl rand -hex 32` makes a signing key; "
            "`script/manage audit key` prints the public one."
        )

BASE_URL = env.str("WEIGHBRIDGE_BASE_URL", "http://127.0.0.1:8000").rstrip("/")
_base = urlsplit(BASE_URL)
if _base.scheme not in ("http", "https") or not _base.hostname:
    raise ImproperlyConfigured("WEIGHBRIDGE_BASE_URL must look like https://portal.example.org")
SECURE = _base.scheme == "https"
ALLOWED_HOSTS = env.list(
    "WEIGHBRIDGE_ALLOWED_HOSTS", default=[_base.hostname, "localhost", "127.0.0.1", "[::1]"]
)
CSRF_TRUSTED_ORIGINS = [BASE_URL]

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # its own would put its own site of the admin before ours
    "unfold.contrib.filters",
    "django.contrib.auth",  # before portal.accounts, whose admin takes Group off the menu
    "portal.accounts",
    "portal.catalog",
    "portal.audit",
    "portal.mail",
    "portal.webhooks",
    "portal",
    "access_requests",
    "distribution",
    "inference_sandbox",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "django_countries",
    "django_htmx",
    "csp",
    "corsheaders",
    "whitenoise.runserver_nostatic",
    "portal.apps.DeskConfig",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
if DEMO:
    INSTALLED_APPS.insert(0, "demo")

MIDDLEWARE = [
    "portal.middleware.request_id",
    "portal.straight.straight_through",
    "django.middleware.security.SecurityMiddleware",
    "portal.middleware.StaticFiles",
    "csp.middleware.CSPMiddleware",
    "portal.middleware.admin_csp",
    "portal.middleware.emptied_browser",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.body_limits.body_limits",
    "portal.middleware.RefusalMiddleware",
    "portal.throttling.ThrottleMiddleware",
    "portal.accounts.second_factor.SecondFactorMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "portal" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "portal.context.site",
            ],
        },
    },
]

# ---- Database ------------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{HOME / 'weighbridge.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    if DATABASES["default"]["NAME"] != ":memory:":
        make_private_database(Path(DATABASES["default"]["NAME"]))
    # IMMEDIATE: a transaction that will write takes the lock at its start and waits for it, instead of
    # failing half-way with "database is locked" when it upgrades from reading to writing.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 0, "max_size": 8}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---- Redis: broker, streams, cache ---------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    }
}
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1}
CELERY_TIMEZONE = "UTC"

# ---- Store of weights ----------------------------------------------------------------------------
# `local:/path`, or `s3://bucket/prefix` with the endpoint and keys below.
STORE_URL = env.str("WEIGHBRIDGE_STORE", f"local:{HOME / 'store'}")
S3_ENDPOINT = env.str("WEIGHBRIDGE_S3_ENDPOINT", "")
S3_PUBLIC_ENDPOINT = env.str("WEIGHBRIDGE_S3_PUBLIC_ENDPOINT", S3_ENDPOINT)
S3_REGION = env.str("WEIGHBRIDGE_S3_REGION", "us-east-1")
S3_ACCESS_KEY = env.str("WEIGHBRIDGE_S3_ACCESS_KEY", "")
S3_SECRET_KEY = env.str("WEIGHBRIDGE_S3_SECRET_KEY", "")
# With a proxy that knows X-Accel-Redirect: the internal location that maps to the local store.
SENDFILE_LOCATION = env.str("WEIGHBRIDGE_SENDFILE_LOCATION", "")

# CloudFront in front of the bucket: its address, the id of its public key, and the private RSA key (PEM).
CLOUDFRONT_URL = env.str("WEIGHBRIDGE_CLOUDFRONT_URL", "").rstrip("/")
CLOUDFRONT_KEY_ID = env.str("WEIGHBRIDGE_CLOUDFRONT_KEY_ID", "")
CLOUDFRONT_KEY = env.str("WEIGHBRIDGE_CLOUDFRONT_KEY", "").replace("\\n", "\n")
if bool(CLOUDFRONT_URL) != bool(CLOUDFRONT_KEY and CLOUDFRONT_KEY_ID):
    raise ImproperlyConfigured(
        "WEIGHBRIDGE_CLOUDFRONT_URL, _CLOUDFRONT_KEY_ID and _CLOUDFRONT_KEY go together: set all three or none."
    )
# Transfers at once under one grant, where neither its release nor the grant itself says otherwise.
DOWNLOAD_TRANSFERS = env.int("WEIGHBRIDGE_TRANSFERS", 32)
# When the downloads under one grant raise an alarm: networks in a day, denials in an hour, and copies of all files'
# bytes in an hour. 0: never.
ALARM_NETWORKS = env.int("WEIGHBRIDGE_ALARM_NETWORKS", 10)
ALARM_DENIALS = env.int("WEIGHBRIDGE_ALARM_DENIALS", 100)
ALARM_COPIES = env.int("WEIGHBRIDGE_ALARM_COPIES", 3)

# ---- Sandbox -------------------------------------------------------------------------------------
# `torch`: the worker computes. `openai:https://…/v1`: a server that speaks OpenAI's API does, in its place.
_engine = env.str("WEIGHBRIDGE_ENGINE", "torch").strip()
SANDBOX_ENGINE_URL = _engine.removeprefix("openai:") if _engine != "torch" else ""
if _engine != "torch" and not re.fullmatch(r"openai:https?://\S+", _engine):
    raise ImproperlyConfigured(
        "WEIGHBRIDGE_ENGINE must be torch or look like openai:http://host/v1"
    )
SANDBOX_ENGINE_MODEL = env.str("WEIGHBRIDGE_ENGINE_MODEL", "")
SANDBOX_ENGINE_KEY = env.str("WEIGHBRIDGE_ENGINE_KEY", "")
SANDBOX_DEVICE = env.str("WEIGHBRIDGE_DEVICE", "cpu")
SANDBOX_DTYPE = env.str("WEIGHBRIDGE_DTYPE", "float32")
if SANDBOX_DTYPE not in ("float32", "bfloat16", "int8"):
    raise ImproperlyConfigured("WEIGHBRIDGE_DTYPE must be float32, bfloat16 or int8.")
SANDBOX_CONTEXT = env.int("WEIGHBRIDGE_CONTEXT", 2048)  # tokens, prompt and answer together
SANDBOX_BATCH = env.int("WEIGHBRIDGE_BATCH", 16)  # requests in one running batch
SANDBOX_MAX_TOKENS = env.int("WEIGHBRIDGE_MAX_TOKENS", 1024)  # of one answer
SANDBOX_STREAM_SECONDS = env.int(
    "WEIGHBRIDGE_STREAM_SECONDS", 86400
)  # how long a stream can be read again
# Under one grant, where a manager set nothing else: tokens read and written a day, and requests at once.
SANDBOX_TOKENS_PER_DAY = env.int("WEIGHBRIDGE_TOKENS_PER_DAY", 200_000)
SANDBOX_SIMULTANEOUS = env.int("WEIGHBRIDGE_SIMULTANEOUS", 4)
SANDBOX_KEEP_DAYS = env.int("WEIGHBRIDGE_KEEP_PROMPTS_DAYS", 90)  # prompts and answers; 0: for ever
if SANDBOX_KEEP_DAYS < 0:
    raise ImproperlyConfigured("WEIGHBRIDGE_KEEP_PROMPTS_DAYS must be 0 or more.")
# Streams of answers that one token may follow at once; an account twice as many, and one run half of them.
SANDBOX_STREAM_READERS = env.int("WEIGHBRIDGE_STREAM_READERS", 32)
# An answer that is not kept ends that many seconds after its last reader went away.
SANDBOX_READER_GRACE = env.float("WEIGHBRIDGE_READER_GRACE", 30.0)
SANDBOX_CACHE = Path(env.str("WEIGHBRIDGE_SANDBOX_CACHE", str(HOME / "sandbox-cache")))
# Weights that no worker has used for so many days leave the cache; 0: never.
SANDBOX_CACHE_DAYS = env.int("WEIGHBRIDGE_SANDBOX_CACHE_DAYS", 14)
if SANDBOX_CACHE_DAYS < 0:
    raise ImproperlyConfigured("WEIGHBRIDGE_SANDBOX_CACHE_DAYS must be 0 or more.")

# ---- People --------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
# Second factors: an app's codes and passkeys. Every role needs one; the demo's people work without.
REQUIRE_MFA = env.bool("WEIGHBRIDGE_REQUIRE_MFA", not (DEMO or DEBUG))
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ADAPTER = "portal.accounts.second_factor.MFAAdapter"
MFA_FORMS = {"add_webauthn": "portal.accounts.second_factor.AddPasskeyForm"}
MFA_TOTP_ISSUER = "Weighbridge"
MFA_TOTP_TOLERANCE = 1  # a code is typed as the next one appears
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_FORMS = {
    "login": "portal.accounts.login_form.LoginForm",
    "change_password": "portal.accounts.password_forms.ChangePasswordForm",
    "reset_password_from_key": "portal.accounts.password_forms.ResetPasswordForm",
}
ACCOUNT_SIGNUP_FORM_CLASS = "portal.accounts.forms.SignupForm"
ACCOUNT_ADAPTER = "portal.accounts.adapter.AccountAdapter"
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _base.scheme
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True

# The public ORCID API, for looking up the iD of who applied; empty: nothing is looked up anywhere.
ORCID_API = env.str("WEIGHBRIDGE_ORCID_API", "").rstrip("/")
if ORCID_API and urlsplit(ORCID_API).scheme not in ("http", "https"):
    raise ImproperlyConfigured("WEIGHBRIDGE_ORCID_API must look like https://pub.orcid.org/v3.0")
# Sign-in with ORCID, for which the site is registered there; without an id and a secret it is not offered.
ORCID_CLIENT_ID = env.str("WEIGHBRIDGE_ORCID_CLIENT_ID", "").strip()
ORCID_CLIENT_SECRET = env.str("WEIGHBRIDGE_ORCID_CLIENT_SECRET", "").strip()
ORCID_DOMAIN = env.str("WEIGHBRIDGE_ORCID_DOMAIN", "").strip() or "orcid.org"
if bool(ORCID_CLIENT_ID) != bool(ORCID_CLIENT_SECRET):
    raise ImproperlyConfigured(
        "WEIGHBRIDGE_ORCID_CLIENT_ID and _ORCID_CLIENT_SECRET go together: set both or none."
    )
if ORCID_DOMAIN not in ("orcid.org", "sandbox.orcid.org"):
    raise ImproperlyConfigured("WEIGHBRIDGE_ORCID_DOMAIN must be orcid.org or sandbox.orcid.org.")
SOCIALACCOUNT_ADAPTER = "portal.accounts.orcid.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS: dict[str, object] = {}
if ORCID_CLIENT_ID:
    INSTALLED_APPS.append("allauth.socialaccount.providers.orcid")
    SOCIALACCOUNT_PROVIDERS["orcid"] = {
        "APPS": [{"client_id": ORCID_CLIENT_ID, "secret": ORCID_CLIENT_SECRET}],
        "BASE_DOMAIN": ORCID_DOMAIN,
    }

# ---- Mail ----------------------------------------------------------------------------------------
MAIL_DIR = HOME / "mail"
if mail_url := env.str("EMAIL_URL", ""):
    vars().update(env.email_url_config(mail_url))
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = MAIL_DIR
# Well under the minute after which a mail is tried again: one that hangs would leave twice.
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("WEIGHBRIDGE_FROM_EMAIL", "Weighbridge <weighbridge@localhost>")

# ---- Limits of requests --------------------------------------------------------------------------
# Of a body, in bytes, where portal/body_limits.py says nothing else.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000
# By one token, by one network where it says so, and twice by one account (portal/throttling.py). Empty: no limit.
RATES: dict[str, str | None] = {
    "wrong_tokens": "60/minute",
    "anonymous": "1200/minute",
    "reads": "3000/minute",
    "changes": "300/minute",
    "mails": "30/minute",
    "claims": "120/minute",
    "uploads": "60/minute",
    "runs": "6000/minute",
    "tokenizing": "6000/minute",
    "links": "300/minute",
    "files": "6000/minute",
    "exports": "30/minute",
}
for _scope, _rate in env.dict("WEIGHBRIDGE_RATES", default={}).items():
    if _scope not in RATES or not re.fullmatch(r"([1-9][0-9]*/(second|minute|hour|day))?", _rate):
        raise ImproperlyConfigured(
            f"WEIGHBRIDGE_RATES: {_scope}={_rate} must look like mails=30/minute; the names are "
            f"{', '.join(RATES)}."
        )
    RATES[_scope] = _rate or None

# ---- Webhooks ------------------------------------------------------------------------------------
WEBHOOK_HTTP = DEMO  # without TLS: for a receiver on the machine of the demo
# Networks beside the public ones that events may be sent into; in the demo this machine.
try:
    WEBHOOK_NETWORKS = [
        ip_network(text)
        for text in env.list(
            "WEIGHBRIDGE_WEBHOOK_NETWORKS", default=["127.0.0.0/8", "::1/128"] if DEMO else []
        )
    ]
except ValueError as error:
    raise ImproperlyConfigured(f"WEIGHBRIDGE_WEBHOOK_NETWORKS: {error}") from error

# ---- Pages of other origins (CORS) ----------------------------------------------------------------
# Whose scripts may call OpenAI's API and the hub protocol, with a token; empty: none.
CORS_ORIGINS = [origin.strip() for origin in env.list("WEIGHBRIDGE_CORS_ORIGINS", default=[])]
CORS_ALLOW_ALL_ORIGINS = CORS_ORIGINS == ["*"]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else CORS_ORIGINS
for _origin in CORS_ALLOWED_ORIGINS:
    if not re.fullmatch(
        r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?", _origin
    ):
        raise ImproperlyConfigured(
            f"WEIGHBRIDGE_CORS_ORIGINS: {_origin} must look like https://app.example.org, in lower case and without a "
            "path; `*` alone allows every origin."
        )
# Only what takes tokens and no cookies.
CORS_URLS_REGEX = (
    r"^/(v1|models/.+/v1|(models/.+/)?(tokenizer_info|(de)?tokenize)|api/models|api/whoami-v2"
    r"|[^/]+/[^/]+/(resolve|raw))(/|$)"
)
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_METHODS = ["GET", "HEAD", "POST", "OPTIONS"]
CORS_ALLOW_HEADERS = ["*", "Authorization"]  # the second is in no browser's `*`
CORS_EXPOSE_HEADERS = [
    *("Accept-Ranges", "Content-Length", "Content-Range", "ETag", "Link", "Retry-After"),
    *("X-Error-Code", "X-Error-Message", "X-Linked-ETag", "X-Linked-Size", "X-Repo-Commit"),
    "X-Request-Id",
]
if CORS_ORIGINS:
    # Above all that answers, so that every answer says who may read it.
    MIDDLEWARE.insert(
        MIDDLEWARE.index("portal.straight.straight_through"),
        "corsheaders.middleware.CorsMiddleware",
    )

# ---- Web -----------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["portal.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = HOME / "media"

CSRF_FAILURE_VIEW = "portal.views.csrf_failed"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_HSTS_SECONDS = env.int("WEIGHBRIDGE_HSTS_SECONDS", 0)
# Addresses and networks of our own proxy, whose X-Forwarded-For and X-Forwarded-Proto portal/asgi.py believes. Not
# SECURE_PROXY_SSL_HEADER, which believes everybody.
_proxies = env.str("FORWARDED_ALLOW_IPS", "127.0.0.1")
TRUSTED_PROXIES = _proxies if env.bool("WEIGHBRIDGE_BEHIND_PROXY", False) else ""
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # A form that is answered with a redirect elsewhere counts as sent there.
        "form-action": [SELF, f"https://{ORCID_DOMAIN}"] if ORCID_CLIENT_ID else [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "portal.pages.Pages",
    "PAGE_SIZE": 50,
    "DEFAULT_SCHEMA_CLASS": "portal.openapi.ApiSchema",
    "EXCEPTION_HANDLER": "portal.problems.exception_handler",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.parsers.JSONBody"],
    "NUM_PROXIES": 0,  # what portal/asgi.py leaves of X-Forwarded-For is the client's own claim
    "DEFAULT_THROTTLE_CLASSES": ["portal.throttling.RouteThrottle"],
    "DEFAULT_THROTTLE_RATES": RATES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Weighbridge",
    "DESCRIPTION": (
        "Apply for, download and prompt gated model releases. The protocols of others are not described here: "
        "huggingface_hub's (`/api/models/…`, `/{repo}/resolve/…`) and OpenAI's (`/v1/…`). Use their own clients."
    ),
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "inference_sandbox.stream_schema.add_stream",
    ],
    # Every one has a name here, so that another one of the same field does not rename it.
    "ENUM_NAME_OVERRIDES": {
        "AdviceEnum": "access_requests.models.Opinion.Advice",
        "ApplicationStateEnum": "access_requests.models.State",
        "CheckResultEnum": "access_requests.evidence.RESULTS",
        "QuestionTypeEnum": "access_requests.questions.TYPES",
        "RunModeEnum": "inference_sandbox.models.Run.Mode",
        "TierEnum": "access_requests.models.Tier",
        "VerbEnum": "portal.audit.models.Verb",
        "WitnessStatusEnum": "access_requests.models.Witness.Status",
        "CategoryEnum": "portal.accounts.models.Affiliation.Category",
        "ReleaseStatusEnum": "portal.catalog.models.Release.Status",
        "GrantStatusEnum": "access_requests.models.Grant.Status",
        "RunStatusEnum": "inference_sandbox.models.Run.Status",
        "WitnessKindEnum": "access_requests.models.Witness.Kind",
        "OpinionKindEnum": "access_requests.models.Opinion.Kind",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "portal.logs.SafeFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s]: %(message)s",
        }
    },
    "filters": {"request": {"()": "portal.logs.NamesRequest"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request"],
        }
    },
    # These bring handlers of their own, which would write the addresses of live links.
    "loggers": {
        name: {"handlers": [], "propagate": True}
        for name in ("django", "django.server", "uvicorn", "uvicorn.access")
    },
    "root": {"handlers": ["console"], "level": env.str("WEIGHBRIDGE_LOG_LEVEL", "INFO")},
}
