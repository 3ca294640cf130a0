"""Subscription files: YAML in, checked subscriptions out, every error with its file, line and key.

``reveal`` reads the values of secrets when a channel is opened; they appear nowhere else, neither in messages nor in
``repr``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from schemas.subscriptions import OrgMatch, Secret, SubscriptionFile, secrets_of
from streams.core.notices import NO_NAMES, Names
from streams.core.working_days import zone_named
from streams.errors import ConfigError, did_you_mean, plain_message
from streams.rulebooks.yaml_files import Keys, YamlFile, read_yaml


def load_subscriptions(path: Path, names: Names = NO_NAMES) -> SubscriptionFile:
    """Read and check one file; an organisation that it names by one of ``names`` becomes its code.

    Raises:
        ConfigError: names file, line and key; several problems are in its ``others``.
    """
    file = read_yaml(path)
    if file.root is None:
        raise ConfigError("the file is empty; it needs channels and subscriptions", path=str(path))
    try:
        found = SubscriptionFile.model_validate(file.data)
    except ValidationError as error:
        # A value may be a secret written into the file by mistake: messages give only its place.
        problems = [
            ConfigError(_message(item), path=str(path), line=file.line(item["loc"]), key=_key(item["loc"], file.data))
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise ConfigError.first_of(problems) from None
    problems = [
        ConfigError(message, path=str(path), line=file.line(keys), key=_key(keys)) for keys, message in found.problems()
    ]
    try:
        zone_named(found.zone)
    except ValueError as error:  # the operating system has names of its own, such as localtime
        problems.append(ConfigError(str(error), path=str(path), line=file.line(("zone",)), key="zone"))
    if problems:
        raise ConfigError.first_of(problems)
    return _with_codes(found, names, path, file) if names else found


def _with_codes(found: SubscriptionFile, names: Names, path: Path, file: YamlFile) -> SubscriptionFile:
    codes: dict[str, set[str]] = {}
    for code, one in names.items():
        for name in {one.name.zh, one.name.en}:
            codes.setdefault(name, set()).add(code)
    problems: list[ConfigError] = []
    made = []
    for index, item in enumerate(found.subscriptions):
        changed: dict[str, tuple[str, ...]] = {}
        for level in OrgMatch.model_fields:
            if (wanted := getattr(item.match.org, level)) is None:
                continue
            keys = ("subscriptions", index, "match", "org", level)
            changed[level] = tuple(_code_of(value, names, codes, problems, (path, file, keys)) for value in wanted)
        org = item.match.org.model_copy(update=changed)
        made.append(item.model_copy(update={"match": item.match.model_copy(update={"org": org})}))
    if problems:
        raise ConfigError.first_of(problems)
    return found.model_copy(update={"subscriptions": tuple(made)})


def _code_of(
    value: str,
    names: Names,
    codes: Mapping[str, set[str]],
    problems: list[ConfigError],
    place: tuple[Path, YamlFile, Keys],
) -> str:
    """The code that a subscription means; a code without a name stays, a text that looks like a name is a problem."""
    meant = sorted(codes.get(value, ()))
    if value in names or (not meant and value.isascii() and " " not in value):
        return value
    if len(meant) == 1:
        return meant[0]
    path, file, keys = place
    what = (
        f"names {', '.join(meant)}: write the code"
        if meant
        else f"is neither a name nor a known code{did_you_mean(value, codes)}"
    )
    key = ".".join(map(str, keys))
    problems.append(ConfigError(f"organisation {value!r} {what}", path=str(path), line=file.line(keys), key=key))
    return value


def _message(item: Mapping[str, Any]) -> str:
    text = plain_message(item)
    return text[0].lower() + text[1:]


def _key(location: Keys, data: Any = None) -> str:
    keys = list(location)
    if keys[:1] == ["channels"] and len(keys) > 2:
        channel = data["channels"].get(keys[1])
        if isinstance(channel, dict) and keys[2] == channel.get("kind"):
            del keys[2]  # pydantic adds the name of the union's member; the file has no such key
    return ".".join(str(key) for key in keys)


def reveal(secret: Secret, *, key: str, environment: Mapping[str, str] | None = None) -> SecretStr:
    """The value of a secret. ``key`` names its purpose in messages.

    Raises:
        ConfigError: where the variable is not set or the file cannot be read or is empty.
    """
    if secret.env is not None:
        value = (os.environ if environment is None else environment).get(secret.env, "").strip()
        if not value:
            raise ConfigError(f"environment variable {secret.env} is not set", key=key)
        return SecretStr(value)
    assert secret.file is not None
    try:
        value = Path(secret.file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError(f"secret file {secret.file}: {reason}", key=key) from None
    if not value:
        raise ConfigError(f"secret file {secret.file} is empty", key=key)
    return SecretStr(value)


def missing_secrets(file: SubscriptionFile, environment: Mapping[str, str] | None = None) -> list[ConfigError]:
    """The secrets that are missing on this machine."""
    found = []
    for name, channel in sorted(file.channels.items()):
        for key, secret in secrets_of(channel).items():
            try:
                reveal(secret, key=f"channels.{name}.{key}", environment=environment)
            except ConfigError as error:
                found.append(error)
    return found
