"""What Secrets say of object stores, and what is told where they do not."""

import json

import pytest

from marie_operator.controllers.mariejob.credentials import (
    AzureCredentials,
    Credentials,
    CredentialsError,
    GoogleCredentials,
    Scheme,
    from_secret,
)

FIELD = "spec.input.credentialsSecretRef"
ACCOUNT = {"type": "service_account", "client_email": "marie@project", "private_key": "pem"}
KEY = json.dumps(ACCOUNT)
S3 = {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"}
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "account"}
CLIENT = {"AZURE_STORAGE_CLIENT_ID": "i", "AZURE_STORAGE_CLIENT_SECRET": "s", "AZURE_STORAGE_TENANT_ID": "t"}


@pytest.mark.parametrize(
    ("scheme", "data", "credentials"),
    [
        ("s3", {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s"}, Credentials("i", "s")),
        ("gs", {"GOOGLE_APPLICATION_CREDENTIALS_JSON": KEY}, GoogleCredentials(KEY, "marie@project")),
        ("gs", {"service-account.json": KEY}, GoogleCredentials(KEY, "marie@project")),
        (
            "gs",
            {"key.json": KEY, "GOOGLE_BASE_URL": "http://store:80"},
            GoogleCredentials(KEY, "marie@project", "http://store:80"),
        ),
        ("az", {**AZURE, "AZURE_STORAGE_ACCOUNT_KEY": "k"}, AzureCredentials("account", "k")),
        (
            "az",
            {**AZURE, "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=x", "AZURE_STORAGE_ENDPOINT": "http://store/account"},
            AzureCredentials("account", sas="sv=1&sig=x", endpoint_url="http://store/account"),
        ),
        ("az", {**AZURE, **CLIENT}, AzureCredentials("account", client=("i", "s", "t"))),
    ],
)
def test_keys_have_the_names_that_each_cloud_gives_them(
    scheme: Scheme, data: dict[str, str], credentials: object
) -> None:
    assert from_secret(scheme, "store", data, FIELD) == credentials


@pytest.mark.parametrize(
    ("scheme", "data", "told"),
    [
        ("s3", {}, "Secret store has no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY: add what is missing"),
        *(
            ("s3", {**S3, key: "x\n"}, f"{key} of Secret store must be one line, but has a line break")
            for key in (*S3, "AWS_SESSION_TOKEN", "AWS_REGION")
        ),
        (
            "az",
            {**AZURE, **CLIENT, "AZURE_STORAGE_TENANT_ID": "t\n"},
            "AZURE_STORAGE_TENANT_ID of Secret store must be",
        ),
        ("gs", {}, "Secret store has no GOOGLE_APPLICATION_CREDENTIALS_JSON, service-account.json or key.json: add"),
        ("gs", {"key.json": KEY, "service-account.json": KEY}, "has service-account.json and key.json: keep one of"),
        ("gs", {"credentials.json": KEY}, "has credentials.json, which is not known for gs://: correct or remove it"),
        ("gs", {"key.json": "/tmp/key.json"}, "key.json in Secret store is no JSON object: put the file there"),
        ("gs", {"key.json": "[]"}, "is no JSON object"),
        (
            "gs",
            {"key.json": '{"type": "authorized_user"}'},
            "has the type 'authorized_user': only the key of a service",
        ),
        ("gs", {"key.json": '{"type": "service_account"}'}, "has no client_email and no private_key: put the whole"),
        (
            "gs",
            {"key.json": KEY, "GOOGLE_BASE_URL": "store"},
            "GOOGLE_BASE_URL in Secret store is 'store', which is no",
        ),
        ("az", {}, "Secret store has no AZURE_STORAGE_ACCOUNT_NAME: add the name of the storage account"),
        (
            "az",
            {"AZURE_STORAGE_ACCOUNT_NAME": "a/b"},
            "is 'a/b', which is no name of a storage account: it has 3 to 24",
        ),
        ("az", AZURE, "Secret store says no way of access; its keys are AZURE_STORAGE_ACCOUNT_NAME and"),
        (
            "az",
            {**AZURE, "AZURE_STORAGE_ACCOUNT_KEY": "k", "AZURE_STORAGE_SAS_TOKEN": "s"},
            "has AZURE_STORAGE_ACCOUNT_KEY and AZURE_STORAGE_SAS_TOKEN: keep one way of access",
        ),
        (
            "az",
            {**AZURE, "AZURE_STORAGE_CLIENT_ID": "i"},
            "has AZURE_STORAGE_CLIENT_ID, but no AZURE_STORAGE_CLIENT_SECRET and no AZURE_STORAGE_TENANT_ID: add it",
        ),
        ("az", {**AZURE, "AZURE_STORAGE_KEY": "k"}, "has AZURE_STORAGE_KEY, which is not known for az://"),
        ("az", {"AWS_ACCESS_KEY_ID": "i"}, "has AWS_ACCESS_KEY_ID, which is not known for az://"),
        ("az", {**AZURE, **CLIENT, "AZURE_STORAGE_ENDPOINT": "x"}, "AZURE_STORAGE_ENDPOINT in Secret store is 'x'"),
    ],
)
def test_what_is_missing_or_not_known_is_named(scheme: Scheme, data: dict[str, str], told: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        from_secret(scheme, "store", data, FIELD)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "known",
    [GoogleCredentials("s3cret"), AzureCredentials("account", "s3cret", "s3cret", ("i", "s3cret", "t"))],
    ids=["google", "azure"],
)
def test_secrets_are_not_shown(known: object) -> None:
    assert "s3cret" not in repr(known)
