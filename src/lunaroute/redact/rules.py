"""Secrets that are known by their own form: keys of providers, clouds and services, and of anybody.

Sources: the providers' documentation of their key formats, GitHub's list of secret-scanning patterns, and the formats
that gitleaks (MIT) documents. A form that is nothing but hexadecimal digits is not here: it is found by the name in
front of it (`surroundings`).
"""

from __future__ import annotations

from .rule import START, Rule


def _token(name: str, pattern: bytes, accept: str | None = None) -> Rule:
    return Rule(name, START + b"(" + pattern + b")", accept=accept)


FORMS = (
    # Language models
    _token("anthropic_key", rb"sk-ant-[A-Za-z0-9_-]{16,}"),
    _token("openrouter_key", rb"sk-or-[A-Za-z0-9_-]{16,}"),
    _token("langfuse_key", rb"[sp]k-lf-[0-9a-f]{8}-[0-9a-f-]{20,}"),
    _token("openai_key", rb"sk-(?:proj|svcacct|admin|None|service)-[A-Za-z0-9_-]{16,}"),
    _token("openai_key", rb"sk-[A-Za-z0-9]{20,}", "has_digit"),
    _token("openai_session", rb"sess-[A-Za-z0-9]{32,}"),
    _token("google_api_key", rb"AIza[A-Za-z0-9_-]{30,}"),
    _token("google_oauth_token", rb"ya29\.[A-Za-z0-9_.-]{20,}"),
    _token("google_oauth_refresh", rb"1//0[A-Za-z0-9_-]{30,}"),
    _token("google_client_secret", rb"GOCSPX-[A-Za-z0-9_-]{20,}"),
    _token("groq_key", rb"gsk_[A-Za-z0-9]{20,}"),
    _token("xai_key", rb"xai-[A-Za-z0-9]{20,}"),
    _token("perplexity_key", rb"pplx-[A-Za-z0-9]{20,}"),
    _token("replicate_key", rb"r8_[A-Za-z0-9]{20,}"),
    _token("huggingface_token", rb"(?:hf|api_org)_[A-Za-z]{20,}"),
    _token("cerebras_key", rb"csk-[A-Za-z0-9]{20,}"),
    _token("nvidia_key", rb"nvapi-[A-Za-z0-9_-]{20,}"),
    _token("fireworks_key", rb"fw_[A-Za-z0-9]{20,}", "has_digit"),
    _token("together_key", rb"tgp_v1_[A-Za-z0-9_-]{20,}"),
    _token("elevenlabs_key", rb"sk_[0-9a-f]{40,}"),
    _token("langsmith_key", rb"lsv2_(?:pt|sk)_[A-Za-z0-9_]{20,}"),
    _token("tavily_key", rb"tvly-[A-Za-z0-9-]{16,}"),
    _token("pinecone_key", rb"pcsk_[A-Za-z0-9_]{20,}"),
    # Clouds
    _token("aws_access_key_id", rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    _token("aws_bedrock_key", rb"ABSK[A-Za-z0-9+/]{60,}={0,2}"),
    Rule("azure_storage_key", rb"(?i:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{20,}={0,2})"),
    _token("azure_client_secret", rb"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}"),
    Rule("azure_sas", rb"[?&]sig=([A-Za-z0-9%+/]{30,}(?:%3[dD]|=){0,2})"),
    _token("alibaba_key", rb"LTAI[A-Za-z0-9]{12,20}\b"),
    _token("tencent_key", rb"AKID[A-Za-z0-9]{28,40}\b"),
    _token("digitalocean_token", rb"do[opr]_v1_[0-9a-f]{64}"),
    _token("heroku_key", rb"HRKU-[A-Za-z0-9_-]{30,}"),
    _token("yandex_key", rb"AQVN[A-Za-z0-9_-]{35,38}\b"),
    # Code and packages
    _token("github_token", rb"gh[pousr]_[A-Za-z0-9]{30,}"),
    _token("github_token", rb"github_pat_[A-Za-z0-9_]{22,}"),
    _token("gitlab_token", rb"gl(?:pat|ptt|dt|rt|soat|agent|ft|imt|cbt|oas)-[A-Za-z0-9_.=-]{16,}"),
    _token("bitbucket_token", rb"ATBB[A-Za-z0-9]{24,}"),
    _token("atlassian_token", rb"ATATT3[A-Za-z0-9_=-]{40,}"),
    _token("npm_token", rb"npm_[A-Za-z0-9]{30,}"),
    _token("pypi_token", rb"pypi-[A-Za-z0-9_-]{50,}"),
    _token("rubygems_key", rb"rubygems_[0-9a-f]{40,}"),
    _token("docker_token", rb"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    # Services
    _token("slack_token", rb"xox[abeoprs]-(?:[A-Za-z0-9]{1,12}-){0,4}[A-Za-z0-9-]{10,}"),
    _token("slack_token", rb"xapp-[0-9]-[A-Za-z0-9-]{20,}"),
    Rule("slack_webhook", rb"hooks\.slack\.com\\{0,7}/(?:services|workflows)\\{0,7}/([A-Za-z0-9\\/_-]{20,})"),
    Rule(
        "discord_webhook",
        rb"discord(?:app)?\.com\\{0,7}/api\\{0,7}/webhooks\\{0,7}/([0-9]{10,}\\{0,7}/[A-Za-z0-9_-]{40,})",
    ),
    _token("discord_token", rb"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"),
    _token("telegram_token", rb"[0-9]{8,10}:AA[A-Za-z0-9_-]{32,33}"),
    _token("stripe_key", rb"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{16,}"),
    _token("stripe_webhook_secret", rb"whsec_[A-Za-z0-9+/]{20,}={0,2}"),
    _token("twilio_key", rb"(?:SK|AC)[0-9a-f]{32}\b"),
    _token("sendgrid_key", rb"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _token("mailgun_key", rb"key-[0-9a-f]{32}\b"),
    _token("mailchimp_key", rb"[0-9a-f]{32}-us[0-9]{1,2}\b"),
    _token("shopify_token", rb"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _token("square_token", rb"sq0[a-z]{3}-[A-Za-z0-9_-]{22,}"),
    _token("square_token", rb"EAAA[A-Za-z0-9_-]{56,62}\b"),
    _token("linear_key", rb"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    _token("notion_token", rb"(?:ntn_|secret_)[A-Za-z0-9]{40,}"),
    _token("figma_token", rb"fig[dou]_[A-Za-z0-9_-]{30,}"),
    _token("postman_key", rb"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    _token("newrelic_key", rb"NR(?:AK|II|JS|RA)-[A-Za-z0-9_-]{19,}"),
    _token("grafana_token", rb"gl(?:sa|c)_[A-Za-z0-9+/=_-]{32,}"),
    _token("sentry_token", rb"sntry[su]_[A-Za-z0-9+/=_-]{32,}"),
    _token("vault_token", rb"hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    _token("terraform_token", rb"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{50,}"),
    _token("doppler_token", rb"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{30,}"),
    _token("onepassword_token", rb"ops_eyJ[A-Za-z0-9+/_-]{50,}={0,2}"),
    _token("databricks_token", rb"dapi[0-9a-f]{32}(?:-[0-9])?\b"),
    _token("planetscale_token", rb"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{30,}"),
    _token("supabase_key", rb"sb(?:p|_secret)_[A-Za-z0-9_-]{20,}"),
    _token("netlify_token", rb"nfp_[A-Za-z0-9]{30,}"),
    _token("vercel_token", rb"vc[pikar]_[A-Za-z0-9]{20,}"),
    _token("tailscale_key", rb"tskey-[a-z]{2,12}-[A-Za-z0-9-]{10,}"),
    _token("age_key", rb"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    # Forms that anybody may use
    _token("jwt", rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    Rule(
        "private_key",
        rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        rb'(?:[^"]*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|(?:\\{1,15}[nrt]|[A-Za-z0-9+/=:,.\s|])*)',
        shown_last=0,
    ),
    Rule("putty_key", rb'PuTTY-User-Key-File-[23]:[^"]*?Private-MAC: ?[0-9a-f]{40,64}', shown_last=0),
)
