"""What a person reads at the terminal."""

from factories import CASE, NOON, make_broken, make_case, make_record, make_report

from regress.replicate import Discarded
from regress.report.text import averages_text, report_text


def test_the_averages_are_the_lines_that_jetson_users_know() -> None:
    """Rates are tokens over the mean time: 64 tokens at 1000/s and at 500/s take 0.064 s and 0.128 s."""
    case = make_case(prefill=(1000.0, 500.0), decode=(50.0, 50.0))
    # mean 0.096 s, 64 / 0.096 = 666.7 tokens/s, where the mean of the rates would say 750
    assert averages_text(make_record(case)) == (
        "AVERAGE OVER 2 RUNS, input=64, output=16\n"
        "tiny-q4f16_1-llvm: prefill_time 0.0960 sec, prefill_rate 666.7 tokens/sec, "
        "decode_time 0.3200 sec, decode_rate 50.0 tokens/sec\n"
    )


def test_a_report_says_the_verdict_its_numbers_and_what_it_was_compared_with() -> None:
    """One line per metric with medians, spread and count."""
    record, reference = make_record(make_case(decode=(40.0, 40.0, 50.0))), make_record()
    text = report_text(make_report(record, reference, against="stored"), record)
    assert "against the stored reference of tvm-0.26.0 in bench" in text
    assert "regressed    decode rate: loss 20.0%, tolerance 5.0%\n" in text
    assert "\n               50.0 ±1.0% (n=3) -> 40.0 ±12.5% (n=3) tokens/s\n" in text
    assert "pass         prefill rate: loss 0.0%" in text
    assert "\nverdict: regressed\n" in text
    assert text.endswith("decode_rate 42.9 tokens/sec\n")  # 16 over the mean of .4, .4, .32 s


def test_a_lost_rate_says_how_to_find_the_kernel() -> None:
    """With both toolchains, and that the case is one of this baseline's; nothing of the kind where no rate was lost."""
    record, reference = make_record(make_case(decode=(40.0, 40.0, 50.0)), toolchain="tvm-0.27.0"), make_record()
    text = report_text(make_report(record, reference), record)
    assert (
        "\nverdict: regressed\n"
        "hint: which kernel got slower, with --baseline as it was given here:\n"
        f"  regress profile --case {CASE} --toolchain tvm-0.26.0 --output old.json\n"
        f"  regress profile --case {CASE} --toolchain tvm-0.27.0 --output new.json\n"
        "  regress profile --diff old.json new.json\n"
    ) in text
    same = make_record(make_case(decode=(40.0, 40.0, 50.0)))
    alone = report_text(make_report(same, reference), same)
    assert f"hint: regress profile --case {CASE} --toolchain tvm-0.26.0 times each kernel, with --baseline" in alone
    assert "regress profile" not in report_text(make_report(reference, reference), reference)


def test_a_case_of_which_nothing_could_be_kept_is_told_with_the_reason() -> None:
    """It has no averages, and must not vanish."""
    hot = Discarded(started_at=NOON, reason="throttled", text="the device was throttled: oc3")
    record = make_record(make_case(replicates=(), discarded=(hot, hot), gave_up="throttled"))
    assert averages_text(record) == (
        f"{CASE}: not measured: 2 replicates discarded (throttled 2 times), "
        "the last because the device was throttled: oc3\n"
    )


def test_a_broken_case_is_told_by_its_cause() -> None:
    """Nothing was measured, so no averages follow."""
    record = make_record(make_broken())
    text = report_text(make_report(record, make_record()), record)
    assert "broken       build failed (killed by SIGSEGV): tvm::s_tir::Tensorize" in text
    assert "AVERAGE" not in text
