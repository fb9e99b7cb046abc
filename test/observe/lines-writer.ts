import { createSink } from "../../src/observe/sink.ts";

/** One of several processes that write to one output: `lines-writer.ts NAME LINES`. */
const [name, count] = process.argv.slice(2);
const sink = createSink({ fd: 1, shared: true, onDropped: () => process.exit(1) });
for (let i = 0; i < Number(count); i++) {
  sink.write(`${name} ${i} ${"ü".repeat(i % 200)} end`);
  // As requests do, lets the writes that are under way come to their end.
  if (i % 20 === 0) await new Promise(setImmediate);
}
sink.flush();
