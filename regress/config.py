"""`regress.toml`: the toolchains, what a plain `regress run` measures, where history and site lie.

Every mistake is one line that names the file and the key, with the nearest right word.
"""

from __future__ import annotations

import re
import sys
from datetime import date  # noqa: TC003  # msgspec reads the annotations at run time
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from regress.errors import ConfigError, RegressError, UsageError, did_you_mean
from regress.stored import RUNNER_NAME

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "regress.toml"
TOOLCHAIN_NAME = r"[0-9A-Za-z][0-9A-Za-z._+-]*"

_LAST_YEAR = 2999

T = TypeVar("T", bound=msgspec.Struct)


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a TOML file of ours: immutable, with no key that is not named."""


Standing = Literal["installed", "broken", "absent", "here", "image"]
"""Where a declared toolchain stands: `installed`, `broken` (installed, but its check fails), `absent`, `here` (kind
`current`), or `image` (kind `container`: whether it is here, only what runs containers knows)."""
ImageName = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._/:@+-]*\Z", max_length=512)]
"""Such as `dustynv/mlc:0.20.0-r36.4.0`; nothing that a command line would take for an option."""


class ToolchainSpec(Table, frozen=True):
    """`[toolchains.NAME]`: how to come by one toolchain.

    Attributes:
        name: Its key in the file.
        kind: `venv` installs `packages`; `current` is the Python that runs `regress`, or `python`; `source` is
            `packages` installed, with the checkout `path` in front of them; `container` is the Python of an image.
        packages: Requirements as pip writes them.
        as_of: Resolve everything as the index stood at the end of that day, in UTC.
        python: Interpreter or version for the environment; the one that runs `regress` where absent, and `python3` of
            the image for a `container`.
        path: The Python folder of a checkout, for `source`; relative to its root where `repository` is given.
        repository: Address of a git repository, for a `source` that is checked out when it is installed.
        commit: The commit to check out, in full.
        index_url: Package index to resolve from; the one uv is set to use where absent.
        find_links: Pages or folders of wheels to take in besides the index.
        image: The image of a `container`, by name, tag or digest.
        autotag: The package that jetson-containers' `autotag` shall choose the image for, in place of `image`.
        runtime: The program that runs containers: docker, or what takes its arguments.
        options: Further arguments of its `run`.
    """

    name: str
    kind: Literal["venv", "current", "source", "container"] = "venv"
    packages: tuple[str, ...] = ()
    as_of: date | None = None
    python: str | None = None
    path: str | None = None
    repository: str | None = None
    commit: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?\Z")] | None = None
    index_url: str | None = None
    find_links: tuple[str, ...] = ()
    image: ImageName | None = None
    autotag: ImageName | None = None
    runtime: Annotated[str, msgspec.Meta(min_length=1)] = "docker"
    options: tuple[str, ...] = ()


_OURS = re.compile(r"-[ed].*|--(?:env|env-file|name|detach|rm|entrypoint|network|net|user)\b.*", re.DOTALL)
"""Options of a runtime's `run` that regress gives itself, or that would go around `[measure.environment]`."""
CONTAINER_KEYS = ("image", "autotag", "runtime", "options")
"""What only the kind `container` has."""


class RunSpec(Table, frozen=True):
    """`[run]`: what `regress run` does when its command line does not say.

    Attributes:
        baseline: Baseline file, relative to `regress.toml`.
        toolchains: Toolchains to measure; the last one is the candidate that the verdict is about.
    """

    baseline: str
    toolchains: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class BumpSpec(Table, frozen=True):
    """`[bump.NAME]`: what `regress bump` follows: the releases of a package, or a branch of a repository.

    Attributes:
        name: Its key in the file.
        toolchain: Name of the toolchain of a release, with `{version}` in it.
        package: Package to follow.
        same_version: Packages of the same place that are pinned to the same version.
        own_version: Packages of the same place that are each pinned to their own newest version: MLC-LLM's nightlies
            come in pairs whose counters differ.
        beside: Further requirements of the toolchain.
        prereleases: Whether nightlies and release candidates count.
        index_url: Package index; the one that uv or pip is set to use where `None`.
        find_links: Pages or folders of wheels, in place of the index.
        platform: End of the platform tags that a wheel must have, such as `aarch64`; any where `None`.
        repository: Address of a git repository to follow.
        ref: Its branch.
        path: Its Python folder, relative to its root.
    """

    name: str
    toolchain: str
    package: str | None = None
    same_version: tuple[str, ...] = ()
    own_version: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    prereleases: bool = False
    index_url: str | None = None
    find_links: tuple[str, ...] = ()
    platform: str | None = None
    repository: str | None = None
    ref: str = "HEAD"
    path: str = "."


Label = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z ._-]*\Z", max_length=256)]


class RunnerSpec(Table, frozen=True):
    """`[runners.NAME]`: a machine that measures for the workflows.

    Attributes:
        labels: Labels that it is registered with; `self-hosted` and its name where there are none.
        baseline: Its baseline file, relative to `regress.toml`; `baselines/NAME.toml` where `None`.
        toolchain: What it measures where nobody says, in place of `[run] toolchains`.
        environment: Environment of the repository whose rules its jobs wait for, such as an approval.
        timeout_minutes: Minutes after which a job on it is ended; five days is what GitHub allows.
    """

    labels: tuple[Label, ...] = ()
    baseline: str | None = None
    toolchain: str | None = None
    environment: Label = "device"
    timeout_minutes: Annotated[int, msgspec.Meta(ge=1, le=7200)] = 240


class RemoteSpec(Table, frozen=True):
    """`[remote]`: where `regress history push` and `pull` go when their command line does not say.

    Attributes:
        url: A git remote, or the URL of an object store; none where `None`.
        branch: Branch of the git remote that holds the history.
    """

    url: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    branch: Annotated[str, msgspec.Meta(min_length=1)] = "regress-history"


class Config(Table, frozen=True):
    """All of `regress.toml`.

    Attributes:
        run: Defaults of `regress run`.
        toolchains: The declared toolchains by name.
        runners: The declared runners by name.
        bump: What `regress bump` follows, by name.
        title: Title of the site.
        history: Folder of the records, relative to the working folder.
        site: Folder the site is written to, relative to the working folder.
        remote: Where the history is shared.
    """

    run: RunSpec
    toolchains: dict[str, ToolchainSpec]
    runners: dict[str, RunnerSpec] = {}
    bump: dict[str, BumpSpec] = {}
    title: str = "regress"
    history: str = "history"
    site: str = "site"
    remote: RemoteSpec = RemoteSpec()

    def toolchain(self, name: str) -> ToolchainSpec:
        """The toolchain of that name.

        Raises:
            UsageError: None is declared under it.
        """
        if name not in self.toolchains:
            raise UsageError(
                f"no toolchain '{name}' in {FILE_NAME}{did_you_mean(name, self.toolchains)}",
                hint=f"declared: {', '.join(self.toolchains)}",
            )
        return self.toolchains[name]

    @property
    def for_any_machine(self) -> tuple[str, ...]:
        """Names of the toolchains that are not just one runner's own, such as an image for its board."""
        own = {spec.toolchain for spec in self.runners.values()} - set(self.run.toolchains)
        return tuple(name for name in self.toolchains if name not in own)

    def measured(self, runner: str) -> tuple[str, ...]:
        """Names of the toolchains that a runner measures where nobody says; the last one is judged."""
        spec = self.runners.get(runner)
        return (spec.toolchain,) if spec and spec.toolchain else self.run.toolchains


def parse_config(text: str, name: str) -> Config:
    """The configuration in a file's text.

    Args:
        text: TOML.
        name: The file's name, for errors.

    Raises:
        ConfigError: It is not TOML, or a key is unknown, missing or of the wrong type.
    """
    document = parse_toml(text, name)
    declared = document.pop("toolchains", {})
    if not isinstance(declared, dict):
        raise ConfigError(f"{name}: toolchains: expected a table of toolchains")
    toolchains = {
        toolchain: _toolchain(table, toolchain, f"{name}: toolchains.{toolchain}")
        for toolchain, table in declared.items()
    }
    runners = _runners(document.pop("runners", {}), f"{name}: runners")
    bumps = _bumps(document.pop("bump", {}), f"{name}: bump")
    config = convert({**document, "toolchains": {}}, Config, name)
    named = [("run.toolchains", toolchain) for toolchain in config.run.toolchains]
    named += [(f"runners.{runner}.toolchain", spec.toolchain) for runner, spec in runners.items() if spec.toolchain]
    for key, toolchain in named:
        if toolchain not in toolchains:
            raise ConfigError(f"{name}: {key}: no toolchain '{toolchain}'{did_you_mean(toolchain, toolchains)}")
    return msgspec.structs.replace(config, toolchains=toolchains, runners=runners, bump=bumps)


def _runners(declared: object, where: str) -> dict[str, RunnerSpec]:
    if not isinstance(declared, dict):
        raise ConfigError(f"{where}: expected a table of runners")
    for name in declared:
        if not re.fullmatch(RUNNER_NAME, name):
            raise ConfigError(f"{where}.{name}: a runner's name holds letters, digits and . _ - only")
    return {name: convert(table, RunnerSpec, f"{where}.{name}", within=True) for name, table in declared.items()}


def _bumps(declared: object, where: str) -> dict[str, BumpSpec]:
    if not isinstance(declared, dict) or not all(isinstance(table, dict) for table in declared.values()):
        raise ConfigError(f"{where}: expected tables, each with a name: [bump.NAME]")
    return {name: _bump(table, name, f"{where}.{name}") for name, table in declared.items()}


def _bump(table: dict[str, Any], name: str, where: str) -> BumpSpec:
    spec = convert({"name": name, **table}, BumpSpec, where, within=True)
    if (spec.package is None) == (spec.repository is None):
        raise ConfigError(f"{where}: needs either `package` or `repository`")
    if spec.repository and (spec.same_version or spec.own_version):
        raise ConfigError(f"{where}.repository: a branch has no packages to pin beside it")
    if "{version}" not in spec.toolchain or not re.fullmatch(TOOLCHAIN_NAME, spec.toolchain.replace("{version}", "1")):
        raise ConfigError(f"{where}.toolchain: a name with {{version}} in it, of letters, digits and . _ + - else")
    return spec


def _toolchain(table: object, name: str, where: str) -> ToolchainSpec:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table")
    if not re.fullmatch(TOOLCHAIN_NAME, name):
        raise ConfigError(f"{where}: a toolchain's name holds letters, digits and . _ + - only")
    spec = convert({"name": name, **table}, ToolchainSpec, where, within=True)
    if any(
        "\0" in text for text in (spec.python or "", spec.path or "", *spec.packages, *spec.find_links, *spec.options)
    ):
        raise ConfigError(f"{where}: a value holds a null character")
    if spec.as_of and spec.as_of.year > _LAST_YEAR:
        raise ConfigError(f"{where}.as_of: {spec.as_of} is too far away")
    if spec.kind == "venv" and not spec.packages:
        raise ConfigError(f"{where}.packages: a venv toolchain needs at least one package")
    if (spec.kind == "source") != (spec.path is not None):
        raise ConfigError(f"{where}.path: required for kind 'source', and for no other")
    if (spec.repository is None) != (spec.commit is None):
        raise ConfigError(f"{where}.repository: goes together with `commit`")
    _require_keys_of_container(spec, table, where)
    _refuse_own_options(spec, where)
    if spec.repository and (spec.kind != "source" or not _is_below(spec.path or "")):
        raise ConfigError(f"{where}.repository: for kind 'source', with a `path` below its root")
    return spec


def _require_keys_of_container(spec: ToolchainSpec, table: dict[str, Any], where: str) -> None:
    """Raises `ConfigError` where a key is of another kind than the toolchain."""
    contained = spec.kind == "container"
    if contained and (spec.image is None) == (spec.autotag is None):
        raise ConfigError(f"{where}: needs either `image` or `autotag`")
    ours = {*CONTAINER_KEYS, "kind", "python"}
    for key in table:
        if contained and key not in ours:
            raise ConfigError(f"{where}.{key}: not for kind 'container', whose image holds everything")
        if not contained and key in CONTAINER_KEYS:
            raise ConfigError(f"{where}.{key}: for kind 'container' alone")


def _refuse_own_options(spec: ToolchainSpec, where: str) -> None:
    """Raises `ConfigError` where an option is one that regress gives itself."""
    for index, option in enumerate(spec.options):
        if _OURS.fullmatch(option):
            hint = "variables for workers stand in [measure.environment] of the baseline"
            raise ConfigError(f"{where}.options[{index}]: '{option.split('=')[0]}' is not to be given", hint=hint)


def _is_below(path: str) -> bool:
    """Whether a path stays in the folder that it is relative to."""
    return not path.startswith(("/", "~")) and ".." not in path.split("/")


def parse_toml(text: str, name: str, error: type[RegressError] = ConfigError) -> dict[str, Any]:
    """The tables of a TOML text; raises `error`, naming the file, where it is not TOML."""
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise error(f"{name}: not valid TOML: {problem}") from problem
    return tables


def convert(value: object, kind: type[T], where: str, *, within: bool = False) -> T:
    """The value as an object of that kind.

    Args:
        value: What TOML gave.
        kind: The struct to make.
        where: File, for errors, and the table after it where `within`.
        within: Whether `where` ends in a table, so that a key follows after a dot.

    Raises:
        ConfigError: A key is unknown, missing, of the wrong type or out of range.
    """
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}{'.' if within else ': '}{_explained(str(error), kind)}") from error


_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.*)`")


def _explained(message: str, kind: type[msgspec.Struct]) -> str:
    """The message of msgspec with the key in front, and the nearest known key where one is unknown."""
    match = _AT.match(message)
    assert match is not None  # noqa: S101  # the pattern matches every text
    what, path = match["what"], match["path"] or ""
    prefix = f"{path}." if path else ""
    if unknown := _UNKNOWN.fullmatch(what):
        return f"{prefix}{unknown['key']}: unknown key{did_you_mean(unknown['key'], _field_names(kind))}"
    if missing := _MISSING.fullmatch(what):
        return f"{prefix}{missing['key']}: missing"
    return f"{path}: {what}" if path else what


def _field_names(kind: type[msgspec.Struct]) -> set[str]:
    """The names of all fields of a struct and of the structs inside it."""
    names: set[str] = set()
    for field in msgspec.structs.fields(kind):
        names.add(field.encode_name)
        for inner in _structs_in(field.type):
            names |= _field_names(inner)
    return names


def _structs_in(annotation: Any) -> list[type[msgspec.Struct]]:  # noqa: ANN401
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [struct for inner in getattr(annotation, "__args__", ()) for struct in _structs_in(inner)]
