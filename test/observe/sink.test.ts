import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSink, type Sink } from "../../src/observe/sink.ts";

/** Waits for a condition, not for a time: fails if it does not come true within twenty seconds. */
async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("the condition did not come true");
    await Bun.sleep(1);
  }
}

let folder: string;
const open: number[] = [];
let dropped: number[];

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "sink-"));
  dropped = [];
});
afterEach(() => fs.rmSync(folder, { recursive: true }));
// Not after each test: a sink with lines left would write them to whatever got its descriptor's number next.
afterAll(() => {
  for (const fd of open) fs.closeSync(fd);
});

function descriptor(path: string, flags: string | number): number {
  const fd = fs.openSync(path, flags);
  open.push(fd);
  return fd;
}

function sinkOn(fd: number, shared = false): Sink {
  const sink: Sink = createSink({
    fd,
    shared,
    onDropped: (lines) => {
      dropped.push(lines);
      sink.write(`dropped ${lines}`);
    },
  });
  return sink;
}

/** A pipe by name, whose reading end never waits. */
function pipe(writing = fs.constants.O_WRONLY) {
  const path = join(folder, "pipe");
  if (Bun.spawnSync(["mkfifo", path]).exitCode !== 0) throw new Error("mkfifo failed");
  const openReader = () => fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  let readEnd = openReader();
  const writeEnd = descriptor(path, writing);
  const buffer = Buffer.alloc(1 << 20);
  return {
    writeEnd,
    /** Leaves no room in it, by what {@link withoutFilling} takes out again. */
    fill() {
      const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(4096));
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
      } finally {
        fs.closeSync(fd);
      }
    },
    /** What can be read now. */
    read(): string {
      let text = "";
      try {
        for (;;) {
          const length = fs.readSync(readEnd, buffer);
          if (length === 0) return text;
          text += buffer.toString("utf8", 0, length);
        }
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "EAGAIN") return text;
        throw error;
      }
    },
    closeReader: () => fs.closeSync(readEnd),
    reopenReader() {
      readEnd = openReader();
    },
  };
}

const withoutFilling = (text: string) => text.replaceAll("\0", "");

describe("a sink on a file", () => {
  test("gathers lines, and writes them within a moment without being told", async () => {
    const path = join(folder, "log");
    const sink = sinkOn(descriptor(path, "a"));
    sink.write("one");
    sink.write("zwölf ✓");
    expect(fs.readFileSync(path, "utf8")).toBe("");
    await until(() => fs.readFileSync(path, "utf8") === "one\nzwölf ✓\n");
  });

  test("writes a full batch at once", async () => {
    const path = join(folder, "log");
    const sink = sinkOn(descriptor(path, "a"));
    const line = "x".repeat(99);
    const begun = performance.now();
    for (let batch = 1; batch <= 100; batch++) {
      for (let i = 0; i < 656; i++) sink.write(line);
      await until(() => fs.statSync(path).size === batch * 65_600);
    }
    // A fifth of a second. If each waited for more to gather, it would take ten.
    expect(performance.now() - begun).toBeLessThan(8000);
  });

  test("has everything written when flushed", () => {
    const path = join(folder, "log");
    const sink = sinkOn(descriptor(path, "a"));
    sink.write("one");
    sink.write("two");
    sink.flush();
    expect(fs.readFileSync(path, "utf8")).toBe("one\ntwo\n");
    sink.flush();
    expect(fs.readFileSync(path, "utf8")).toBe("one\ntwo\n");
  });

  test("flushes in order behind a write that is under way", () => {
    const path = join(folder, "log");
    const sink = sinkOn(descriptor(path, "a"));
    const expected = Array.from({ length: 3000 }, (_, i) => `line ${i} of some length`);
    for (const line of expected) sink.write(line);
    sink.flush();
    expect(fs.readFileSync(path, "utf8")).toBe(`${expected.join("\n")}\n`);
  });
});

describe("several processes write whole lines, none between another's parts", () => {
  const WRITERS = 4;
  const LINES = 3000;
  const writer = join(import.meta.dir, "lines-writer.ts");
  const all = Array.from(
    { length: WRITERS },
    (_, i) => `"${process.execPath}" "${writer}" ${i} ${LINES} & `,
  ).join("");
  test.each([
    ["to a file, from its beginning", (file: string) => `(${all}wait) > "${file}"; cat "${file}"`],
    ["to the end of a file", (file: string) => `(${all}wait) >> "${file}"; cat "${file}"`],
    ["to a pipe", () => `(${all}wait) | cat`],
    // Which is what Bun gives a child for its output.
    ["to a socket", () => `test -S /dev/stdout || exit 1; ${all}wait`],
  ])("%s", async (_, command) => {
    const shell = Bun.spawn(["sh", "-c", command(join(folder, "log"))], { stdout: "pipe" });
    const lines = (await shell.stdout.text()).split("\n").slice(0, -1);
    expect(await shell.exited).toBe(0);
    expect(lines).toHaveLength(WRITERS * LINES);
    expect(lines.filter((line) => !/^[0-9] [0-9]+ ü* end$/.test(line))).toEqual([]);
  });
});

describe.each([
  ["a blocking pipe", fs.constants.O_WRONLY],
  ["a non-blocking pipe", fs.constants.O_WRONLY | fs.constants.O_NONBLOCK],
])("a sink on %s", (_, flags) => {
  test("whose reader stalls never waits, keeps a bounded amount, and says what was lost", async () => {
    const { writeEnd, fill, read, closeReader } = pipe(flags);
    const sink = sinkOn(writeEnd);
    fill();
    const filler = "x".repeat(990);
    const total = 4000;
    // Nobody reads meanwhile: a write that waited would do so for ever.
    for (let i = 0; i < total; i++) {
      sink.write(`${String(i).padStart(8, "0")} ${filler}`);
      if (i % 100 === 0) await Bun.sleep(1);
    }
    expect(dropped).toEqual([]);
    const stalled = sink.state();
    expect(stalled.pending).toBeGreaterThan(1024 * 1024 - 1000);

    let text = "";
    await until(() => {
      text += withoutFilling(read());
      return text.includes("dropped") && text.endsWith("\n");
    });
    closeReader();
    const lines = text.trimEnd().split("\n");
    const kept = lines.length - 1;
    expect(lines.at(-1)).toBe(`dropped ${total - kept}`);
    expect(dropped).toEqual([total - kept]);
    expect([stalled.lost, sink.state()]).toEqual([total - kept, { lost: total - kept, pending: 0 }]);
    // The bound, and what the write under way holds.
    expect(kept * 1000).toBeGreaterThan(1024 * 1024 - 1000);
    expect(kept * 1000).toBeLessThan(1024 * 1024 + 64 * 1024);
    lines.slice(0, -1).forEach((line, i) => {
      expect(line).toBe(`${String(i).padStart(8, "0")} ${filler}`);
    });
  });

  test("whose reader stalls does not hang the end of the process", async () => {
    const { writeEnd, closeReader } = pipe(flags);
    const sink = sinkOn(writeEnd);
    for (let i = 0; i < 300; i++) sink.write("x".repeat(999));
    // Long enough that the write under way counts as stalled.
    await Bun.sleep(100);
    for (let i = 0; i < 300; i++) sink.write("x".repeat(999));
    // Nobody reads meanwhile: this returns, or never does.
    sink.flush();
    closeReader();
    expect(dropped).toEqual([]);
  });

  test("whose reader comes back goes on with a line of its own after one that was cut short", async () => {
    const { writeEnd, read, closeReader, reopenReader } = pipe(flags);
    const sink = sinkOn(writeEnd);
    sink.write("x".repeat(200_000));
    await Bun.sleep(50);
    closeReader();
    // Long enough that the write under way has failed.
    await Bun.sleep(100);
    reopenReader();
    sink.write("next");
    let text = "";
    await until(() => {
      text += read();
      return text.endsWith("\nnext\ndropped 1\n");
    });
    closeReader();
  });

  test("whose reader has gone throws nothing, ever", async () => {
    const { writeEnd, closeReader } = pipe(flags);
    const sink = sinkOn(writeEnd);
    closeReader();
    for (let i = 0; i < 3000; i++) {
      sink.write("x".repeat(999));
      if (i % 100 === 0) await Bun.sleep(1);
    }
    sink.flush();
    expect(dropped).toEqual([]);
  });
});

test("a flush writes what a full non-blocking pipe has left over, once", async () => {
  const { writeEnd, read, closeReader } = pipe(fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  const sink = sinkOn(writeEnd);
  const expected = Array.from({ length: 100 }, (_, i) => `${i} ${"x".repeat(990)}`);
  for (const line of expected) sink.write(line);
  await Bun.sleep(50);
  let text = read();
  sink.flush();
  text += read();
  expect(text).toBe(`${expected.join("\n")}\n`);
  sink.write("next");
  await until(() => {
    text += read();
    return text.endsWith("next\n");
  });
  expect(text).toBe(`${expected.join("\n")}\nnext\n`);
  closeReader();
});

test("sinks that share a pipe never tear each other's lines, however the reader stalls", async () => {
  const { writeEnd, read } = pipe();
  const sinks = ["a", "b", "é"].map((name) => ({ name, sink: sinkOn(writeEnd, true) }));
  let count = 0;
  let text = "";
  for (let round = 0; round < 200; round++) {
    for (const { name, sink } of sinks) {
      for (let i = 0; i < 40; i++) sink.write(`${name}${count} ${name.repeat(count++ % 300)} end`);
    }
    if (round % 7 < 4) text += read();
    await Bun.sleep(0);
  }
  const lost = () => dropped.reduce((sum, lines) => sum + lines, 0);
  await until(() => {
    text += read();
    return text.split(" end\n").length - 1 + lost() >= count;
  });
  const seen = text.slice(0, -1).split("\n");
  expect(seen.length).toBeGreaterThan(5000);
  const torn = seen.filter((line) => {
    const [, name = "", number = 0, fill = ""] = /^([abé])(\d+) (\1*) end$/.exec(line) ?? [];
    return fill !== name.repeat(Number(number) % 300) && !line.startsWith("dropped ");
  });
  expect(torn).toEqual([]);
});

test("a sink on a full disk throws nothing", async () => {
  const sink = sinkOn(descriptor("/dev/full", "w"));
  for (let i = 0; i < 100; i++) {
    sink.write("x".repeat(999));
    if (i % 20 === 0) await Bun.sleep(1);
  }
  sink.flush();
  expect(dropped).toEqual([]);
});
