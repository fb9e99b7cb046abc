import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { familyOf, residentMebibytes } from "../accounting.ts";
import { findCaddy, prepareCaddyProxy } from "../rivals/caddy.ts";
import { prepareNginxProxy, startSmallApplication } from "../rivals/nginx.ts";
import { prepareRunegate } from "../runegate.ts";
import { type Bench, inTurn, median, percentile, type Report, type Section } from "../section.ts";
import { BenchError, freePort, type Prepared } from "../stage.ts";

/** How soon a process that is started answers, and what it takes before it has done anything. */
export const startSection: Section = {
  name: "start",
  summary: "from exec to the first answer, and memory at rest",
  atMostSeconds: ({ rounds }) => 120 + rounds * STARTS * 4 * 1.5,
  run,
};

const STARTS = 8;
/** More than Bun's own empty executable takes. */
const MOST_MORE_MS = 15;
const MOST_MORE_MEGABYTES = 10;
const REST_MS = 1500;
const PATIENCE_MS = 10_000;
const COMPILED = "Runegate, compiled";
const NOTHING = "Bun alone, compiled";

/** @property path of something that it answers. */
type Starter = { readonly name: string; readonly path: string; readonly prepared: Prepared };

/** With bytecode, as ours has it. */
async function compileNothing(outfile: string): Promise<string> {
  await Bun.build({
    entrypoints: [new URL("../rivals/nothing.ts", import.meta.url).pathname],
    target: "bun",
    format: "esm",
    minify: true,
    bytecode: true,
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
  });
  return outfile;
}

async function run({ stage, effort, executable, say }: Bench): Promise<Report> {
  const upstream = await startSmallApplication(stage);
  const upstreamPort = upstream.port;
  const caddy = findCaddy();
  const health = "/_runegate/health";
  const compiled = { name: "compiled", command: [executable()], upstreamPort };
  const nothing = await compileNothing(join(stage.directory, "nothing"));
  const port = freePort();
  const starters: Starter[] = [
    { name: COMPILED, path: health, prepared: prepareRunegate(stage, compiled) },
    {
      name: NOTHING,
      path: "/",
      prepared: { name: "nothing", command: [nothing], port, env: { PORT: String(port) } },
    },
    {
      name: "Runegate, from source",
      path: health,
      prepared: prepareRunegate(stage, { name: "source", upstreamPort }),
    },
    { name: "nginx", path: "/", prepared: prepareNginxProxy(stage, { name: "nginx", upstreamPort }) },
    ...(caddy === undefined
      ? []
      : [{ name: "Caddy", path: "/", prepared: prepareCaddyProxy(stage, caddy, upstreamPort) }]),
  ];

  const resident = new Map<string, number>();
  const took = await inTurn(starters, effort.rounds * STARTS, async ({ name, path, prepared }, round) => {
    const begin = performance.now();
    const started = stage.launch(prepared.name, prepared.command, prepared.env);
    const milliseconds = await firstAnswer(`http://127.0.0.1:${prepared.port}${path}`, begin, prepared.name);
    if (round === 0) {
      await Bun.sleep(REST_MS);
      resident.set(name, residentMebibytes(familyOf(started.pid)));
    }
    await stage.end(started);
    return milliseconds;
  });
  for (const [name, times] of took) say(`${name}: ${median(times).toFixed(1)} ms`);

  async function firstAnswer(url: string, begin: number, name: string): Promise<number> {
    for (;;) {
      try {
        const response = await fetch(url);
        await response.arrayBuffer();
        if (response.status === 200) return performance.now() - begin;
        throw new BenchError(`${name} answers with ${response.status}.`);
      } catch (error) {
        if (error instanceof BenchError) throw error;
      }
      if (performance.now() - begin > PATIENCE_MS) {
        throw new BenchError(
          `${name} does not answer: ${readFileSync(`${stage.directory}/${name}.err`, "utf8").slice(-2000)}`,
        );
      }
      await Bun.sleep(1);
    }
  }

  const more = median(took.get(COMPILED) ?? []) - median(took.get(NOTHING) ?? []);
  const megabytes = new Map([
    [COMPILED, statSync(executable()).size / 1e6],
    [NOTHING, statSync(nothing).size / 1e6],
  ]);
  const heavier = (megabytes.get(COMPILED) ?? Number.NaN) - (megabytes.get(NOTHING) ?? Number.NaN);
  return {
    tables: [
      {
        columns: ["", "first answer ms", "p90 ms", "RSS at rest MiB", "executable MB"],
        rows: [...took].map(([name, times]) => [
          name,
          median(times).toFixed(1),
          percentile(
            times.toSorted((a, b) => a - b),
            0.9,
          ).toFixed(1),
          (resident.get(name) ?? Number.NaN).toFixed(0),
          megabytes.get(name)?.toFixed(1) ?? "",
        ]),
      },
    ],
    targets: [
      {
        wanted: `from exec to the first answer at most ${MOST_MORE_MS} ms more than Bun alone`,
        got: `${more.toFixed(1)} ms`,
        met: more <= MOST_MORE_MS,
      },
      {
        wanted: `at most ${MOST_MORE_MEGABYTES} MB larger than Bun alone`,
        got: `${heavier.toFixed(1)} MB`,
        met: heavier <= MOST_MORE_MEGABYTES,
      },
    ],
    notes: [
      `${effort.rounds * STARTS} starts of each, in turn, with the files in the page cache; asked about once a millisecond.`,
    ],
    figures: { took: Object.fromEntries(took), resident: Object.fromEntries(resident) },
  };
}
