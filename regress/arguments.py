"""What can be written on a command line: every command, its options, and the function that each one calls."""

from __future__ import annotations

import argparse

from regress import __version__, quantity

_EXIT_CODES = """\
exit codes: 0 pass or improved, 1 regressed, 2 usage, 3 configuration, 4 toolchain, 5 build, 6 bench,
7 history or not published, 8 inconclusive or not comparable, 9 something newer exists (bump --check),
70 a defect of regress, 130 interrupted, 141 the reader of the output went away"""


def parser() -> argparse.ArgumentParser:
    """What reads a command line."""
    program = argparse.ArgumentParser(
        prog="regress",
        description="Catches throughput regressions of quantized LLMs on every MLC-LLM and TVM bump.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    program.add_argument("--version", action="version", version=f"regress {__version__}")
    commands = program.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_check(commands)
    _add_compare(commands)
    _add_build(commands)
    _add_bench(commands)
    _add_baseline(commands)
    _add_trend(commands)
    _add_profile(commands)
    _add_drill(commands)
    _add_aa(commands)
    _add_plan(commands)
    _add_bump(commands)
    _add_install_workflows(commands)
    _add_history(commands)
    _add_import(commands)
    _add_site(commands)
    _add_report(commands)
    _add_publish(commands)
    _add_toolchain(commands)
    _add_doctor(commands)
    _add_evaluate(commands)
    return program


_Commands = argparse._SubParsersAction  # noqa: SLF001  # argparse names its own type no other way


def _command(commands: _Commands[argparse.ArgumentParser], name: str, call: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(call=call)
    command.add_argument("--config", metavar="FILE", help="regress.toml (default: ./regress.toml, else embedded)")
    return command


def _add_run(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "run", "measuring:run", "build, measure, record, judge and publish")
    _add_measuring(command)
    _add_choice(command)
    _add_verdict(command)
    _add_budget(command)
    _add_replicates(command, "fresh processes per case for toolchains that are not judged")
    command.add_argument(
        "--toolchain",
        action="append",
        metavar="NAME",
        help="toolchain to measure, the last one is judged; repeatable",
    )
    command.add_argument("--site", metavar="DIR", help="folder of the site")
    command.add_argument("--no-site", action="store_true", help="do not write the site")


def _add_check(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "check", "judging:check", "judge a record, or measure one first, by a baseline")
    _add_measuring(command)
    _add_choice(command)
    _add_verdict(command)
    _add_budget(command)
    command.add_argument("--record", metavar="FILE", help="judge this record instead of measuring")
    command.add_argument("--save", action="store_true", help="keep the verdicts beside the record that is judged")
    command.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and what keeps it from a verdict here"
    )
    command.add_argument("--toolchain", metavar="NAME", help="toolchain to measure")


def _add_compare(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "compare", "measuring:compare", "measure two toolchains alternately, judge the ratio")
    _add_measuring(command)
    _add_choice(command)
    _add_verdict(command)
    _add_budget(command)
    command.add_argument("old", metavar="OLD", help="toolchain to compare with")
    command.add_argument("new", metavar="NEW", help="toolchain to judge")


def _add_build(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "build", "measuring:build", "build the artifacts of a baseline's cases")
    _add_measuring(command)
    _add_choice(command)
    command.add_argument("--toolchain", metavar="NAME", help="toolchain to build with")
    command.add_argument("--check", action="store_true", help="judge the build by what needs no device")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_bench(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "bench", "measuring:bench", "measure a baseline's cases and record them")
    _add_measuring(command)
    _add_choice(command)
    _add_replicates(command, "fresh processes per case")
    command.add_argument("--toolchain", metavar="NAME", help="toolchain to measure")
    command.add_argument("--save", metavar="CSV", help="append a line per case, in the columns of benchmark.py")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_baseline(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "baseline", "judging:baseline", "make recorded runs the references of a baseline")
    command.add_argument(
        "action", nargs="?", choices=("write", "propose"), default="write", help="write the file, or print the diff"
    )
    command.add_argument("--baseline", metavar="FILE", help="baseline to write; made from the default one if new")
    command.add_argument("--reason", metavar="TEXT", help="why these runs are the reference")
    command.add_argument(
        "--record",
        action="append",
        default=[],
        metavar="FILE",
        help="record to take; repeatable (default: the newest three)",
    )
    command.add_argument("--history", metavar="DIR", help="folder of the records")


def _add_trend(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "trend", "trending:trend", "find slow losses of a whole history")
    command.add_argument("--baseline", metavar="FILE", help="baseline file (default: run.baseline of regress.toml)")
    command.add_argument("--history", metavar="DIR", help="folder of the records")
    _add_verdict(command)


def _add_profile(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "profile", "profiling:profile", "time each kernel of a case, or compare two profiles")
    _add_cases(command)
    command.add_argument("--toolchain", metavar="NAME", help="toolchain to build with")
    command.add_argument("--case", metavar="KEY", help="case to profile (default: the baseline's first)")
    command.add_argument("--output", metavar="FILE", help="file to write the profile to")
    command.add_argument("--diff", nargs=2, metavar=("OLD", "NEW"), help="compare two such files instead")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_drill(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "drill", "proving:drill", "put faults in on purpose: prove that the gate can go red")
    _add_measuring(command)
    _add_budget(command)
    command.add_argument("--toolchain", metavar="NAME", help="toolchain to build with")
    command.add_argument(
        "--loss",
        type=quantity.fraction,
        action="append",
        metavar="X",
        help="loss to build; repeatable (default: .02 to .1, and 3 tolerances)",
    )
    command.add_argument("--case", metavar="KEY", help="case to drill (default: the baseline's first)")
    command.add_argument(
        "--tolerance", type=quantity.fraction, metavar="X", help="tolerance to drill with (default: the case's)"
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_aa(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "aa", "proving:aa", "check an unchanged build many times: count the false alarms")
    command.add_argument("--baseline", metavar="FILE", help="baseline file (default: run.baseline of regress.toml)")
    command.add_argument("--checks", type=quantity.count, default=50, metavar="N", help="checks to run (default: 50)")
    command.add_argument(
        "--timeout-s", type=quantity.seconds, default=3600, metavar="S", help="time limit of a check, in seconds"
    )
    command.add_argument("--count-only", action="store_true", help="count what the history holds, measure nothing")
    command.add_argument(
        "--history", metavar="DIR", help="folder of the checks (default: in the cache; with --count-only: the history)"
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_plan(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "plan", "planning:plan_command", "say which runners measure what")
    command.add_argument(
        "--runner", action="append", default=[], metavar="NAME", help="this runner; repeatable (default: all declared)"
    )
    command.add_argument("--toolchain", metavar="NAME", help="toolchain to judge (default: the last of run.toolchains)")
    command.add_argument("--json", action="store_true", help="print the matrix of a workflow, in one line")


def _add_bump(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "bump", "bumping:bump_command", "declare a newer toolchain, where there is one")
    command.add_argument("names", nargs="*", metavar="NAME", help="what to follow (default: all of [bump])")
    command.add_argument("--check", action="store_true", help="write nothing; exit 9 where there is a newer one")
    command.add_argument("--push", metavar="REMOTE", help="commit it to bump/NAME there, and print the commit, too")
    command.add_argument("--again", action="store_true", help="with --push: also where that branch is there already")
    command.add_argument("--archive", metavar="DIR", help="keep its wheels there, as `toolchain bundle` packs them")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_install_workflows(commands: _Commands[argparse.ArgumentParser]) -> None:
    text = "give a repository the workflows that measure, publish and bump"
    command = commands.add_parser(
        "install-workflows", help=text, description=f"{text[0].upper()}{text[1:]}. docs/runner.md says what comes next."
    )
    command.set_defaults(call="installing:install_workflows")
    command.add_argument("folder", nargs="?", default=".", metavar="DIR", help="its root (default: here)")
    command.add_argument("--diff", action="store_true", help="show what would change, write nothing")
    command.add_argument("--source", metavar="REQUIREMENT", help="what installs regress there (default: this very one)")


def _add_history(commands: _Commands[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("history", help="share the records with other machines, and check them")
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    push = _command(actions, "push", "histories:push", "give a remote the records that it lacks")
    pull = _command(actions, "pull", "histories:pull", "take the records from a remote that are not here")
    verify = _command(actions, "verify", "histories:verify", "read every record, and name what is wrong")
    for command in (push, pull):
        command.add_argument(
            "--remote",
            metavar="REMOTE",
            help="name, path or URL of a git remote, or URL of an object store (default: remote.url of regress.toml)",
        )
        command.add_argument("--branch", metavar="NAME", help="branch of the git remote (default: regress-history)")
        command.add_argument(
            "--timeout-s",
            type=quantity.seconds,
            default=300,
            metavar="S",
            help="seconds after which no further attempt is begun (default: 300)",
        )
    for command in (push, pull, verify):
        command.add_argument("--history", metavar="DIR", help="folder of the records")
        command.add_argument("--json", action="store_true", help="print JSON")


def _add_import(commands: _Commands[argparse.ArgumentParser]) -> None:
    text = "take figures that others measured into the history, with where they come from"
    command = _command(commands, "import", "importing:import_command", text)
    command.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="benchmark.py's --save table or the text that it prints, or llama-bench -o json",
    )
    command.add_argument("--runner", required=True, metavar="NAME", help="nickname of the machine; hosts are not kept")
    for option, what in (
        ("model", "short name of the model, as keys have it"),
        ("quantization", "its quantization, such as q4f16_ft"),
        ("target", "what it ran on, such as cuda"),
        ("device", "name of the device"),
        ("toolchain", "name for what was measured, such as mlc-2023-10"),
    ):
        command.add_argument(f"--{option}", metavar="NAME", help=f"{what} (default: as the file says)")
    harnesses = ("chat", "engine", "vm")
    command.add_argument("--harness", choices=harnesses, help="what drove MLC-LLM's builds, for rows that do not say")
    command.add_argument("--date", type=quantity.day, metavar="DAY", help="when, for a file that does not say")
    for option in ("--prompt-tokens", "--new-tokens"):
        command.add_argument(option, type=quantity.count, metavar="N", help="likewise")
    command.add_argument("--history", metavar="DIR", help="folder of the records")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_site(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "site", "publishing:site_command", "write the site, serve or check it")
    command.add_argument(
        "action",
        nargs="?",
        choices=("build", "serve", "check"),
        default="build",
        help="write it (default), write it and serve it, or name what is wrong with what was written",
    )
    command.add_argument("--history", metavar="DIR", help="folder of the records")
    command.add_argument("--site", metavar="DIR", help="folder of the site")
    command.add_argument("--parquet", action="store_true", help="write all values as Parquet, too (takes pyarrow)")
    command.add_argument("--plotly", metavar="FILE", help="a bundle of Plotly's script in place of the whole one")
    command.add_argument("--host", metavar="NAME", help="address to serve at (default: 127.0.0.1, this machine alone)")
    command.add_argument("--port", type=quantity.port, metavar="N", help="port to serve at (default: one that is free)")


def _add_report(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _delivered(commands, "report", "say what the runners of a plan delivered, the gravest first")
    command.add_argument("--summary", metavar="FILE", help="append Markdown to this file (default: standard output)")
    command.add_argument("--junit", metavar="FILE", help="write JUnit XML to this file")
    command.add_argument("--annotations", action="store_true", help="print workflow commands that annotate baselines")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_publish(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _delivered(commands, "publish", "tell GitHub what the runners of a plan delivered")
    command.add_argument("--checks", action="store_true", help="a check run per runner")
    command.add_argument(
        "--comment", type=quantity.count, metavar="PULL_REQUEST", help="one comment on it, updated in place"
    )
    command.add_argument("--issues", action="store_true", help="an issue per regression, closed when it is gone")
    command.add_argument("--pull-request-of", metavar="BRANCH", help="the pull request of that branch, with the report")
    command.add_argument("--title", metavar="TEXT", help="its title")
    command.add_argument("--repository", metavar="OWNER/NAME", help="where (default: GITHUB_REPOSITORY)")
    command.add_argument("--sha", metavar="COMMIT", help="commit of the checks (default: GITHUB_SHA)")


def _delivered(commands: _Commands[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(call=f"reporting:{name}")
    command.add_argument("--plan", metavar="FILE", help="who was to deliver, as `regress plan --json` prints it")
    command.add_argument("--incoming", required=True, metavar="DIR", help="folder of the new records and verdicts")
    command.add_argument("--site-url", metavar="URL", help="address of the trend site, to link to")
    return command


def _add_toolchain(commands: _Commands[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("toolchain", help="list, install and carry toolchains")
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = _command(actions, "list", "toolchains:list_all", "list the declared toolchains")
    listing.add_argument("--json", action="store_true", help="print JSON")
    install = _command(actions, "install", "toolchains:install", "resolve, install and check toolchains")
    install.add_argument("names", nargs="*", metavar="NAME", help="toolchains (default: all)")
    show = _command(actions, "show", "toolchains:show", "show what is in an installed toolchain")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--json", action="store_true", help="print JSON")
    remove = _command(actions, "remove", "toolchains:remove", "delete installed toolchains")
    remove.add_argument("names", nargs="+", metavar="NAME")
    _add_bundles(actions)


def _add_bundles(actions: _Commands[argparse.ArgumentParser]) -> None:
    bundle = _command(actions, "bundle", "toolchains:bundle", "pack toolchains' wheels for a machine without network")
    bundle.add_argument("names", nargs="+", metavar="NAME")
    bundle.add_argument("--output", default=".", metavar="DIR", help="folder to write to (default: here)")
    bundle.add_argument("--python", metavar="X.Y", help="Python of that machine (default: this one's)")
    bundle.add_argument("--platform", metavar="TAG", help="its platform, such as aarch64-manylinux_2_28")
    bundle.add_argument("--split-size", metavar="SIZE", help="size of a part at most, such as 60M")
    bundle.add_argument("--slim", action="store_true", help="about half the size, for minutes of packing")
    unbundle = _command(actions, "unbundle", "toolchains:unbundle", "install a bundle, without network")
    unbundle.add_argument("bundle", metavar="FILE", help="the bundle, or its first part")


def _add_doctor(commands: _Commands[argparse.ArgumentParser]) -> None:
    command = _command(commands, "doctor", "doctoring:doctor", "say what keeps this machine from being measured well")
    command.add_argument("--baseline", metavar="FILE", help="baseline file (default: run.baseline of regress.toml)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_evaluate(commands: _Commands[argparse.ArgumentParser]) -> None:
    text = "run our decision rule and those of other systems over benchmark series and simulated noise"
    command = commands.add_parser(
        "evaluate",
        help=text,
        description=f"{text[0].upper()}{text[1:]}. docs/evaluation.md says how.",
        epilog="exits 0 where every bar of our rule is met that could be measured, 1 where one is missed",
    )
    command.set_defaults(call="evaluating:evaluate")
    command.add_argument(
        "data", nargs="*", metavar="DATA", help="CSV or JMH JSON, .gz too, or folders of them (default: --simulate)"
    )
    command.add_argument("--simulate", action="store_true", help="simulated noise as well")
    command.add_argument("--time", metavar="COLUMN", help="column of times (default: by its name)")
    command.add_argument("--value", metavar="COLUMN", help="column of values (default: by its name)")
    command.add_argument(
        "--key", action="append", default=[], metavar="COLUMN", help="column that tells series apart; repeatable"
    )
    command.add_argument("--where", metavar="COLUMN=TEXT", help="only rows, or described series, with this text in it")
    direction = command.add_mutually_exclusive_group()
    for name, higher in (("--higher-is-better", True), ("--lower-is-better", False)):
        direction.add_argument(
            name, dest="higher_is_better", action="store_const", const=higher, help="direction of the values"
        )
    command.add_argument("--seed", type=int, default=20260815, metavar="N", help="seed of splits and noise")
    command.add_argument(
        "--checks",
        type=quantity.count,
        default=100_000,
        metavar="N",
        help="simulated checks of each kind (default: 100000)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_measuring(command: argparse.ArgumentParser) -> None:
    _add_cases(command)
    command.add_argument("--history", metavar="DIR", help="folder of the records")


def _add_cases(command: argparse.ArgumentParser) -> None:
    command.add_argument("--baseline", metavar="FILE", help="baseline file (default: run.baseline of regress.toml)")
    command.add_argument("--prompt", metavar="FILE", help="prompts to use, a JSON file as jetson-containers has them")
    command.add_argument(
        "--new-tokens",
        "--max-new-tokens",
        type=quantity.count,
        metavar="N",
        help="tokens to generate, instead of the case's",
    )
    command.add_argument("--rebuild", action="store_true", help="build anew what is in the cache, too")
    command.add_argument(
        "--flag", action="append", default=[], metavar="NAME=VALUE", help="build flag over the case's; repeatable"
    )


def _add_choice(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only the cases whose key matches, such as 'llama-2-7b/*'; repeatable",
    )


def _add_verdict(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    command.add_argument("--exit-zero", action="store_true", help="exit 0 whatever the verdict is")


def _add_budget(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--budget",
        type=quantity.budget,
        metavar="N",
        help="replicates per case, 3 to 12: the last look that it covers decides",
    )


def _add_replicates(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--replicates", type=quantity.count, metavar="N", help=text)
