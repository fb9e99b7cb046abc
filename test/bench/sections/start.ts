import { readFileSync } from "node:fs";
import { familyOf, residentMebibytes } from "../accounting.ts";
import { findCaddy, prepareCaddyProxy } from "../rivals/caddy.ts";
import { prepareNginxProxy, startSmallApplication } from "../rivals/nginx.ts";
import { prepareRunegate } from "../runegate.ts";
import { type Bench, inTurn, median, percentile, type Report, type Section } from "../section.ts";
import { BenchError, type Prepared } from "../stage.ts";

/** How soon a process that is started answers, and what it takes before it has done anything. */
export const startSection: Section = {
  name: "start",
  summary: "from exec to the first answer, and memory at rest",
  atMostSeconds: ({ rounds }) => 120 + rounds * STARTS * 4 * 1.5,
  run,
};

const STARTS = 8;
const MOST_MS = 60;
const REST_MS = 1500;
const PATIENCE_MS = 10_000;
const COMPILED = "Runegate, compiled";

/** @property path of something that it answers. */
type Starter = { readonly name: string; readonly path: string; readonly prepared: Prepared };

async function run({ stage, effort, executable, say }: Bench): Promise<Report> {
  const upstream = await startSmallApplication(stage);
  const upstreamPort = upstream.port;
  const caddy = findCaddy();
  const health = "/_runegate/health";
  const compiled = { name: "compiled", command: [executable()], upstreamPort };
  const starters: Starter[] = [
    { name: COMPILED, path: health, prepared: prepareRunegate(stage, compiled) },
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

  const ofCompiled = median(took.get(COMPILED) ?? []);
  return {
    tables: [
      {
        columns: ["", "first answer ms", "p90 ms", "RSS at rest MiB"],
        rows: [...took].map(([name, times]) => [
          name,
          median(times).toFixed(1),
          percentile(
            times.toSorted((a, b) => a - b),
            0.9,
          ).toFixed(1),
          (resident.get(name) ?? Number.NaN).toFixed(0),
        ]),
      },
    ],
    targets: [
      {
        wanted: `${COMPILED}: under ${MOST_MS} ms from exec to the first answer`,
        got: `${ofCompiled.toFixed(1)} ms`,
        met: ofCompiled < MOST_MS,
      },
    ],
    notes: [
      `${effort.rounds * STARTS} starts of each, in turn, with the files in the page cache; asked about once a millisecond.`,
    ],
    figures: { took: Object.fromEntries(took), resident: Object.fromEntries(resident) },
  };
}
