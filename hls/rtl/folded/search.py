"""The search among steps in Verilog: from sum_* to level_*, with the memories' addresses and words as wires."""

from __future__ import annotations

from dwell.hls.rtl.folded.steps import StepUnit
from dwell.hls.rtl.folded.text import INDENT, delay, instance, vector, wires


def search_lines(steps: StepUnit, fold_bits: int) -> list[str]:
    """Wires KIND_address and KIND_word of each of the unit's memories, the comparisons and the results."""
    bits = steps.bits
    lines = [
        f"{INDENT}wire {vector(fold_bits + 1)} at_0 = {{sum_bank, sum_fold}};  // beside each comparison"
    ]
    for stage in range(1, bits + 1):
        lines.append(f"{INDENT}wire {vector(fold_bits + 1)} at_{stage};")
        lines += delay(f"u_at_{stage}", 2, f"at_{stage - 1}", f"at_{stage}", fold_bits + 1)
    lines.append(f"{INDENT}wire {vector(steps.pe * steps.result.bits)} level_data;")
    for lane in range(steps.pe):
        lines += _lane(steps, lane, fold_bits)
    lines += wires("level", {"valid": 1, "first": 1, "last": 1, "bank": 1})
    lines.append(f"{INDENT}wire {vector(fold_bits)} level_fold;")
    lines += delay("u_level_valid", steps.latency, "sum_valid", "level_valid", 1, reset=True)
    lines += delay("u_level_marks", steps.latency, "{sum_first, sum_last}", "{level_first, level_last}", 2)
    lines += delay("u_level_at", 1, f"at_{bits}", "{level_bank, level_fold}", fold_bits + 1)
    ats = ", ".join(f"at_{stage}" for stage in range(bits + 1))
    return [*lines, f"{INDENT}wire unused_at = &{{1'b0, {ats}}};"]


def _lane(steps: StepUnit, lane: int, fold_bits: int) -> list[str]:
    width, many = steps.source.bits, steps.nf > 1
    lines = [f"{INDENT}wire {vector(width)} x_{lane}_0 = sum_data[{(lane + 1) * width - 1}:{lane * width}];"]
    for stage in range(steps.bits):
        name, found = f"steps_{lane}_{stage}", f"found_{lane}_{stage}"
        lines += _address(name, stage, found if stage else "", fold_bits, many)
        lines += [
            f"{INDENT}wire {vector(width)} {name}_word;",
            f"{INDENT}wire {vector(width)} x_{lane}_{stage + 1};",
            f"{INDENT}wire {vector(stage + 1)} found_{lane}_{stage + 1};",
        ]
        lines += instance(
            "dwell_search", f"u_search_{lane}_{stage}",
            {"BITS": width, "SIGNED": int(steps.source.signed), "KNOWN": stage},
            {
                "clk": "aclk", "x": f"x_{lane}_{stage}", "found": found if stage else "1'b0",
                "threshold": f"{name}_word", "next_x": f"x_{lane}_{stage + 1}",
                "next_found": f"found_{lane}_{stage + 1}",
            },
        )  # fmt: skip
    result, name = steps.result.bits, f"levels_{lane}"
    lines += _address(name, steps.bits, f"found_{lane}_{steps.bits}", fold_bits, many and not steps.shared)
    lines += [
        f"{INDENT}wire {vector(result)} {name}_word;",
        f"{INDENT}assign level_data[{(lane + 1) * result - 1}:{lane * result}] = {name}_word;",
        f"{INDENT}wire unused_x_{lane} = &{{1'b0, x_{lane}_{steps.bits}}};",
    ]
    return lines


def _address(name: str, stage: int, found: str, fold_bits: int, many: bool) -> list[str]:
    """{bank, fold, found}, without what is not there, in two bits at least."""
    parts = [f"at_{stage}"] if many else [f"at_{stage}[{fold_bits}]"]
    bits = fold_bits + 1 if many else 1
    if found:
        parts, bits = [*parts, found], bits + stage
    elif not many:
        parts, bits = [*parts, "1'b0"], 2
    text = ", ".join(parts)
    return [f"{INDENT}wire {vector(bits)} {name}_address = {{{text}}};"]
