import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDelivery, type Delivery } from "../../src/sinks/delivery.ts";
import { createSpool, type Spool } from "../../src/sinks/spool.ts";
import { Refused, type Transport, TryLater } from "../../src/sinks/transport.ts";
import { testRandom } from "../support/clock.ts";
import { type Timeline, timeline, until } from "./support.ts";

const SECOND = 1_000;
const HOUR = 3_600_000;

let time: Timeline;
let said: string[];
/** Batches that arrived. */
let batches: (readonly string[])[];
/** When the sink was tried. */
let tries: number[];
let answer: (lines: readonly string[], signal: AbortSignal) => number | Promise<number>;
let folder: string;

beforeEach(() => {
  [time, said, batches, tries] = [timeline(), [], [], []];
  answer = () => 0;
  folder = mkdtempSync(join(tmpdir(), "sinks-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const transport: Transport = {
  async send(lines, signal) {
    tries.push(time.clock.monotonic());
    const rejected = await answer(lines, signal);
    batches.push(lines);
    return rejected;
  },
  close() {},
};

function delivery(spool?: Spool): Delivery {
  const log = (message: string, fields = {}) => void said.push(`${message} ${JSON.stringify(fields)}`);
  return createDelivery({
    ...{ name: "X", transport, spool, clock: time.clock, random: testRandom(), pause: time.pause },
    log: () => ({ info: log, warn: log }),
  });
}
const spoolOf = (limit = 64e6) =>
  createSpool({ directory: join(folder, "spool"), limit, clock: time.clock, random: testRandom() });

function add(to: Delivery, from: number, count: number): void {
  for (let n = from; n < from + count; n++) to.add(`line ${n}`);
}
const numbersOf = (lines: readonly string[]) => lines.map((line) => Number(line.slice(5)));
const fail = () => {
  throw new Error("nobody there");
};
const spooled = () => (existsSync(join(folder, "spool")) ? readdirSync(join(folder, "spool")) : []);

describe("lines on their way to a sink", () => {
  test("wait a second for company", async () => {
    const one = delivery();
    add(one, 0, 3);
    await time.advance(999);
    expect(batches).toEqual([]);
    await time.advance(1);
    expect(batches).toEqual([["line 0", "line 1", "line 2"]]);
    add(one, 3, 1);
    await time.advance(SECOND);
    expect(batches[1]).toEqual(["line 3"]);
  });

  test("go at once where there are 500", async () => {
    const one = delivery();
    add(one, 0, 1_250);
    await time.advance(0);
    expect(batches.map(({ length }) => length)).toEqual([500, 500]);
    await time.advance(SECOND);
    expect(batches.flatMap(numbersOf)).toEqual(Array.from({ length: 1_250 }, (_, n) => n));
  });

  test("are tried again after 1 s, twice as long each time and at most 60 s, less up to a half by chance", async () => {
    answer = fail;
    const one = delivery();
    add(one, 0, 1);
    await time.advance(10 * 60 * SECOND);
    const waits = tries.slice(1).map((at, n) => at - (tries[n] ?? 0));
    for (const [n, wait] of waits.entries()) {
      const most = Math.min(SECOND * 2 ** n, 60 * SECOND);
      expect(wait).toBeGreaterThanOrEqual(most / 2);
      expect(wait).toBeLessThan(most);
    }
    expect(new Set(waits.slice(6)).size).toBeGreaterThan(3);
    answer = () => 0;
    await time.advance(60 * SECOND);
    expect(batches).toEqual([["line 0"]]);
    expect(said).toEqual([
      'a sink does not take lines {"sink":"X","reason":"nobody there"}',
      ...Array(said.length - 2).fill('a sink does not take lines {"sink":"X","reason":"nobody there"}'),
      'a sink takes lines again {"sink":"X"}',
    ]);
    // Once a minute at most.
    expect(said.length).toBeLessThanOrEqual(12);
  });

  test("wait as long as the sink asks for", async () => {
    answer = () => {
      throw new TryLater("it answers with 429", 90 * SECOND);
    };
    add(delivery(), 0, 1);
    await time.advance(SECOND + 89 * SECOND);
    expect(tries).toHaveLength(1);
    await time.advance(SECOND);
    expect(tries).toHaveLength(2);
  });

  test("are given up by a sink that says nothing for 10 s, and tried again", async () => {
    answer = (_, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    add(delivery(), 0, 1);
    await time.advance(11 * SECOND);
    expect(tries).toHaveLength(1);
    expect(said).toEqual(['a sink does not take lines {"sink":"X","reason":"it does not answer in time"}']);
    await time.advance(SECOND);
    expect(tries).toHaveLength(2);
  });

  test("H12 that are refused are dropped and counted, and not tried again", async () => {
    answer = (lines) => {
      if (lines.includes("line 0")) throw new Refused("it answers with 400");
      return 0;
    };
    const one = delivery();
    add(one, 0, 3);
    await time.advance(SECOND);
    add(one, 3, 2);
    await time.advance(HOUR);
    expect(tries).toHaveLength(2);
    expect(batches).toEqual([["line 3", "line 4"]]);
    expect(one.state()).toEqual({ sink: "X", pending: 0, lost: 3 });
    expect(said).toEqual([
      'a sink does not take lines {"sink":"X","reason":"it answers with 400"}',
      "3 lines lost for sink X {}",
    ]);
  });

  test("are counted where the sink took the others of a batch", async () => {
    answer = () => 2;
    const one = delivery();
    add(one, 0, 5);
    await time.advance(SECOND);
    expect(one.state().lost).toBe(2);
    expect(said).toEqual(["2 lines lost for sink X {}"]);
  });

  test("H10 an hour of a sink that takes nothing: the oldest fall and are counted, and memory stays flat", async () => {
    answer = fail;
    const one = delivery();
    // 10 lines a second, of 400 characters.
    const text = "x".repeat(395);
    const perSecond = 10;
    let most = 0;
    let heap = 0;
    for (let second = 0; second < 3_600; second++) {
      for (let n = 0; n < perSecond; n++)
        one.add(`${String(second * perSecond + n).padStart(5, "0")}${text}`);
      await time.advance(SECOND);
      most = Math.max(most, one.state().pending);
      if (second === 1_200) {
        Bun.gc(true);
        heap = process.memoryUsage().heapUsed;
      }
    }
    Bun.gc(true);
    expect(process.memoryUsage().heapUsed - heap).toBeLessThan(2 * 2 ** 20);
    expect(most).toBe(10_000 * 400);
    expect(one.state().lost).toBe(26_000);
    expect(batches).toEqual([]);
    answer = () => 0;
    await time.advance(2 * 60 * SECOND);
    const arrived = batches.flat().map((line) => Number(line.slice(0, 5)));
    expect(arrived).toEqual(Array.from({ length: 10_000 }, (_, n) => 26_000 + n));
    expect(said.at(-1)).toBe("26000 lines lost for sink X {}");
    expect(said.at(-2)).toBe('a sink takes lines again {"sink":"X"}');
  }, 60_000);

  test("are sent when the process ends, without waiting for company", async () => {
    const one = delivery();
    add(one, 0, 700);
    const closed = one.close(5 * SECOND);
    await time.advance(0);
    await closed;
    expect(batches.flat()).toHaveLength(700);
  });

  test("hold up the end of the process for 5 s, and are counted then", async () => {
    answer = fail;
    const one = delivery();
    add(one, 0, 412);
    let ended = false;
    const closed = one.close(5 * SECOND).then(() => {
      ended = true;
    });
    await time.advance(4_999);
    expect(ended).toBe(false);
    await time.advance(1);
    await closed;
    expect(said.at(-1)).toBe("412 lines lost for sink X {}");
  });
});

describe("lines of the audit", () => {
  test("wait on disk while the sink takes nothing, and arrive in order, those on disk first", async () => {
    answer = fail;
    const one = delivery(spoolOf());
    add(one, 0, 1_200);
    await time.advance(0);
    await until(() => one.state().pending === 0);
    expect(spooled()).toHaveLength(3);
    expect(one.state()).toEqual({ sink: "X", pending: 0, lost: 0 });
    expect(statSync(join(folder, "spool")).mode & 0o777).toBe(0o700);
    for (const name of spooled()) expect(statSync(join(folder, "spool", name)).mode & 0o777).toBe(0o600);
    add(one, 1_200, 10);
    answer = () => 0;
    await until(async () => {
      await time.advance(SECOND);
      return batches.flat().length >= 1_210;
    });
    expect(batches.flatMap(numbersOf)).toEqual(Array.from({ length: 1_210 }, (_, n) => n));
    await until(() => spooled().length === 0);
  });

  test("survive the end of the process, and go first in the next one", async () => {
    answer = fail;
    const one = delivery(spoolOf());
    add(one, 0, 20);
    const closed = one.close(5 * SECOND);
    await time.advance(5 * SECOND);
    await closed;
    expect(spooled()).toHaveLength(1);
    expect(one.state().lost).toBe(0);

    answer = () => 0;
    const next = delivery(spoolOf());
    add(next, 20, 5);
    await until(async () => {
      await time.advance(SECOND);
      return batches.flat().length >= 25;
    });
    expect(batches.flatMap(numbersOf)).toEqual(Array.from({ length: 25 }, (_, n) => n));
  });

  test("are sent by the next process though nothing new happens there", async () => {
    await spoolOf().put(["line 0"]);
    delivery(spoolOf());
    await until(async () => {
      await time.advance(SECOND);
      return batches.length > 0;
    });
    expect(batches).toEqual([["line 0"]]);
  });

  test("stay in memory where the disk has no room, up to the same bound, and are counted beyond it", async () => {
    answer = fail;
    const one = delivery(spoolOf(5_000));
    add(one, 0, 500);
    await time.advance(0);
    await until(() => one.state().pending === 0);
    expect(spooled()).toHaveLength(1);
    add(one, 500, 10_600);
    await until(async () => {
      await time.advance(60 * SECOND);
      return said.some((line) => line.includes("has filled its room on disk"));
    });
    expect(one.state().lost).toBe(600);
    expect(spooled()).toHaveLength(1);
    answer = () => 0;
    await until(async () => {
      await time.advance(60 * SECOND);
      return batches.flat().length >= 10_500;
    });
    expect(batches.flatMap(numbersOf).slice(0, 501)).toEqual([
      ...Array.from({ length: 500 }, (_, n) => n),
      1_100,
    ]);
  });

  test("H9 stay in memory where the disk is full or gone, and nothing throws", async () => {
    writeFileSync(join(folder, "spool"), "a file where the directory would be");
    answer = fail;
    const one = delivery(spoolOf());
    add(one, 0, 3);
    await time.advance(0);
    await until(async () => {
      await time.advance(SECOND);
      return tries.length > 2;
    });
    answer = () => 0;
    await until(async () => {
      await time.advance(60 * SECOND);
      return batches.length > 0;
    });
    expect(batches).toEqual([["line 0", "line 1", "line 2"]]);
  });

  test("a batch that was not written to its end is none", async () => {
    await spoolOf().put(["line 0"]);
    writeFileSync(join(folder, "spool", "000-torn.jsonl.new"), "line");
    delivery(spoolOf());
    await until(async () => {
      await time.advance(SECOND);
      return batches.length > 0;
    });
    expect(batches).toEqual([["line 0"]]);
  });
});
