import { describe, expect, test } from "bun:test";
import { mergeEnded } from "../../src/metrics/measures.ts";
import { createRegistry } from "../../src/metrics/registry.ts";
import { mergeFamilies, renderFamilies } from "../../src/metrics/text.ts";

/** The text that Prometheus reads, and what is made of several processes. */

const textOf = async (registry: ReturnType<typeof createRegistry>) =>
  renderFamilies(await registry.snapshot(true));

describe("the text", () => {
  test("has a counter, a gauge and a histogram, its buckets adding up", async () => {
    const registry = createRegistry();
    registry.counter("things_total", "Things.", ["kind"]).add(2, "a");
    registry.gauge("heat", "How warm.", [], () => -1.5);
    const { of } = registry.histogram("took_seconds", "How long.", ["op"], [0.1, 1]);
    for (const seconds of [0.1, 0.25, 0.25, 5]) of("get")(seconds);
    expect(await textOf(registry)).toBe(`# HELP things_total Things.
# TYPE things_total counter
things_total{kind="a"} 2
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{op="get",le="0.1"} 1
took_seconds_bucket{op="get",le="1"} 3
took_seconds_bucket{op="get",le="+Inf"} 4
took_seconds_sum{op="get"} 5.6
took_seconds_count{op="get"} 4
# HELP heat How warm.
# TYPE heat gauge
heat -1.5
`);
  });

  test("escapes what ends a value or a line", async () => {
    const registry = createRegistry();
    registry.counter("a_total", "A \\ and a\nline.", ["b"]).add(1, '"} 9\n\\');
    expect(await textOf(registry)).toBe(
      '# HELP a_total A \\\\ and a\\nline.\n# TYPE a_total counter\na_total{b="\\"} 9\\n\\\\"} 1\n',
    );
  });

  test("goes on without what cannot be read", async () => {
    const registry = createRegistry();
    registry.gauge("a", "A.", [], () => Promise.reject(new Error("away")));
    registry.gauge("b", "B.", [], () => 1);
    expect(await textOf(registry)).toEndWith("# TYPE a gauge\n# HELP b B.\n# TYPE b gauge\nb 1\n");
  });
});

describe("of several processes", () => {
  const process = (n: number) => {
    const registry = createRegistry();
    registry.counter("count_total", "", ["of"]).add(n, `${n}`);
    registry.counter("count_total", "", ["of"]).add(n, "all");
    registry.counter("open", "").add(n);
    registry.histogram("took_seconds", "", [], [n]).of()(n);
    for (const merge of ["sum", "max", "min", "main"] as const) registry.gauge(merge, "", [], () => n, merge);
    return registry;
  };

  test("each family is one, put together as it says", async () => {
    const merged = mergeFamilies([await process(3).snapshot(true), await process(2).snapshot(false)]);
    expect(Object.fromEntries(merged.map(({ name, samples }) => [name, samples]))).toEqual({
      count_total: [
        [["3"], [3]],
        [["all"], [5]],
        [["2"], [2]],
      ],
      open: [[[], [5]]],
      took_seconds: [[[], [2, 0, 5]]],
      sum: [[[], [5]]],
      max: [[[], [3]]],
      min: [[[], [2]]],
      main: [[[], [3]]],
    });
  });

  test("of one that has ended, what it counted stays, and not what it held", async () => {
    const families = await process(3).snapshot(false);
    const names = mergeEnded([{ families, quarters: [] }]).families.map(({ name }) => name);
    expect(names).toEqual(["count_total", "took_seconds"]);
  });
});

describe("a registry that follows another, as a gateway does after a reload", () => {
  test("goes on counting, in what is kept of before too, and reads what is there now alone", async () => {
    const first = createRegistry();
    first.gauge("always", "", [], () => 1);
    const before = first.next();
    const cell = before.counter("count_total", "").of();
    before.gauge("then", "", [], () => 1);
    cell.value++;
    const after = first.next();
    after.counter("count_total", "").add(1);
    cell.value++;
    expect((await after.snapshot(true)).map(({ name, samples }) => [name, samples[0]?.[1][0]])).toEqual([
      ["count_total", 3],
      ["always", 1],
    ]);
  });
});
