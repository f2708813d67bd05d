"""What keys, tokens, passwords and private keys look like. Each pattern's group 1, else all of it, is the secret."""

from __future__ import annotations

import re
from typing import NamedTuple


class Shape(NamedTuple):
    """The form of one kind of secret, and letters without which there is none, so that most texts are not searched."""

    kind: str
    hint: str
    pattern: re.Pattern[str]


_HERE = r"(?<![A-Za-z0-9_-])(?:"
_ENDS = r")(?![A-Za-z0-9_-])"


def _shape(kind: str, hint: str, pattern: str) -> Shape:
    return Shape(kind, hint, re.compile(_HERE + pattern + _ENDS))


SHAPES = (  # as the providers document them or their own tools make them
    _shape("anthropic_key", "sk-ant-", r"sk-ant-(?:api|admin|oat)\d{2}-[\w-]{20,200}"),
    _shape("openrouter_key", "sk-or-", r"sk-or-v1-[0-9a-f]{64}"),
    _shape("openai_key", "sk-", r"sk-(?:proj-|svcacct-|admin-|None-)?(?=[\w-]{0,180}\d)[A-Za-z0-9][\w-]{19,180}"),
    _shape("aws_key_id", "A", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    _shape("google_key", "AIza", r"AIza[\w-]{35}"),
    _shape("google_token", "ya29.", r"ya29\.[\w-]{20,2000}"),
    _shape("google_secret", "GOCSPX-", r"GOCSPX-[\w-]{28}"),
    _shape("github_token", "gh", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    _shape("github_token", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    _shape("gitlab_token", "gl", r"gl(?:pat|ptt|dt|rt|soat|cbt|ft|imt|agent)-[\w-]{20,100}"),
    _shape("slack_token", "xox", r"xox[abeoprs]-(?:[0-9A-Za-z]{1,60}-){1,6}[0-9A-Za-z]{6,150}"),
    _shape("slack_token", "xapp-", r"xapp-\d-[A-Z0-9]{6,20}-\d{6,20}-[0-9a-z]{20,100}"),
    _shape("slack_webhook", "hooks.slack.com", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_]{30,120}"),
    _shape("discord_webhook", "/api/webhooks/",
           r"https://(?:\w{1,10}\.)?discord(?:app)?\.com/api/webhooks/\d{15,22}/[\w-]{50,90}"),
    _shape("discord_token", ".", r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}"),
    _shape("telegram_token", ":AA", r"\d{8,10}:AA[\w-]{33}"),
    _shape("stripe_key", "_", r"(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{16,250}"),
    _shape("stripe_webhook", "whsec_", r"whsec_[0-9A-Za-z+/]{24,80}"),
    _shape("twilio_key", "SK", r"SK[0-9a-f]{32}"),
    _shape("sendgrid_key", "SG.", r"SG\.[\w-]{22}\.[\w-]{43}"),
    _shape("mailgun_key", "key-", r"key-[0-9a-f]{32}"),
    _shape("mailchimp_key", "-us", r"[0-9a-f]{32}-us\d{1,2}"),
    _shape("npm_token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _shape("pypi_token", "pypi-", r"pypi-AgEI[\w-]{50,1000}"),
    _shape("huggingface_token", "hf_", r"hf_[A-Za-z0-9]{34,40}"),
    _shape("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{40,60}"),
    _shape("xai_key", "xai-", r"xai-[A-Za-z0-9]{60,90}"),
    _shape("perplexity_key", "pplx-", r"pplx-[A-Za-z0-9]{40,60}"),
    _shape("replicate_token", "r8_", r"r8_[A-Za-z0-9]{37}"),
    _shape("nvidia_key", "nvapi-", r"nvapi-[\w-]{50,80}"),
    _shape("langsmith_key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    _shape("databricks_token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?"),
    _shape("digitalocean_token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _shape("shopify_token", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _shape("square_token", "sq0", r"sq0(?:atp|csp|idp)-[\w-]{22,43}"),
    _shape("atlassian_token", "ATATT3", r"ATATT3[\w=-]{60,250}"),
    _shape("newrelic_key", "NRA", r"NRA[KL]-[A-Z0-9]{27}"),
    _shape("notion_token", "ntn_", r"ntn_[A-Za-z0-9]{40,60}"),
    _shape("linear_key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}"),
    _shape("postman_key", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    _shape("grafana_token", "glsa_", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}"),
    _shape("vault_token", "hv", r"hv[bs]\.[\w-]{20,300}"),
    _shape("doppler_token", "dp.", r"dp\.(?:pt|st|ct|sa)\.[\w.-]{40,80}"),
    _shape("age_key", "AGE-SECRET", r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}"),
    _shape("azure_key", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{80,88}={0,2})"),
    Shape("private_key", "PRIVATE KEY", re.compile(
        r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[\sA-Za-z0-9+/=:,.\\]|-(?!----))*+"
        r"(?:-----END (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----)?")),
)  # fmt: skip

JWT = re.compile(r"(?<![\w.-])(eyJ[\w-]{8,4000})\.(?:eyJ[\w-]{4,20000}|[\w-]{0,20000})\.[\w-]{10,2000}(?![\w-])")
ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:/@\"'<>]{0,80}:([^\s@/\"'<>]{1,200})@[\w.\[-]"
)
HEADER = re.compile(
    r"\b(?:Bearer|Basic|Token|ApiKey)[ ]+([A-Za-z0-9+/_.~=-]{16,4000})(?![A-Za-z0-9+/_.~=-])", re.IGNORECASE
)
NAMED = re.compile(
    r"(?P<name>(?P<pass>passwords?|passwd|passphrase|passwort|kennwort|contraseña|mot de passe|pwd|passcode)"
    r"|(?:api|access|account|auth|client|encryption|license|master|private|secret|service|session|shared|signing|storage"
    r"|subscription|webhook)[ _-]?keys?|secrets?|tokens?|credentials?)(?P<rest>(?:[_-]\w{1,24})?)"
    r"[\"'`\]]{0,2}[ \t]{0,8}(?P<mark>:=|=>|==?|:|\bis\b:?)[ \t]{0,8}[\"'`(\[{]{0,2}(?P<value>[^\s\"'`<>]{4,300})",
    re.IGNORECASE,
)
